"""`python -m pipeline.cli`: the command `storycache` where the project is not installed."""

from pipeline.cli.app import main

main()
