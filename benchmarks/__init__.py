"""Speed and memory, each against a named baseline in the same run."""

import stages as stages  # what stages have set for their processes holds for what is timed here
