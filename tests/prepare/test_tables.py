"""Tables of a chain of thought: read by their headers, whatever a language model made of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.prepare.tables import FrameTables, Named, frame_tables
from pipeline.storyworld.prose import told_story
from pipeline.storyworld.rows import story_row

AS_THE_DATASET_WRITES_IT = """## Image 1

### Characters
| Character ID | Name | Description | Emotions | Actions | Narrative Function | Bounding Box |
|--------------|------|-------------|----------|---------|--------------------|--------------|
| char2 | John | A man in a suit | Neutral | Standing in a room | Protagonist | 40,31,493,239 |
| char5 | Sarah | A woman by the door | Tense | Walks in | Visitor | 300,40,380,230 |

### Objects
| Object ID | Description | Function | Interaction | Narrative Function | Bounding Box |
|-----------|-------------|----------|-------------|--------------------|--------------|
| obj1 | A wooden door | Entrance | None | Separates | 10,10,60,200 |
| bg1 | Grey walls | Background | None | Encloses | 0,0,500,100 |

### Setting
| Setting Element | Description | Mood | Time | Narrative Function |
|-----------------|-------------|------|------|--------------------|
| Location | Indoor office | Formal | Day | Sets the scene |
| Lighting | Bright, artificial | Cold | Day | Shows all |

## Image 2

### Setting
| Setting Element | Description | Mood | Time | Narrative Function |
|-----------------|-------------|------|------|--------------------|
| Location | Urban street | Calm | Night | Turns outside |

## Narrative Structure
| Narrative Phase | Description | Key Events | Images |
|-----------------|-------------|------------|--------|
| Introduction | Two meet | Sarah walks in | 1 |
"""


def test_tables_as_the_dataset_writes_them() -> None:
    first, second = frame_tables(AS_THE_DATASET_WRITES_IT, 2)
    assert first.people == [Named("char2", "John"), Named("char5", "Sarah")]
    assert first.things == [Named("obj1", "A wooden door"), Named("bg1", "Grey walls")]
    assert first.actions == ["Standing in a room", "Walks in"]
    assert first.setting == {
        "location": "Indoor office",
        "mood": "Formal",
        "time": "Day",
        "lighting": "Bright, artificial",
    }
    assert second == FrameTables(
        setting={"location": "Urban street", "mood": "Calm", "time": "Night"}
    )
    assert first.unread == 0


def test_the_sample_s_tables_are_read_whole() -> None:
    scenes = told_story("7-00003")[0].scenes
    thoughts = story_row("7-00003")["chain_of_thought"]
    for scene, tables in zip(scenes, frame_tables(thoughts, len(scenes)), strict=True):
        people = [scene.subject, *([scene.companion] if scene.companion else [])]
        assert [person.name for person in tables.people] == [person.name for person in people]
        assert [thing.name for thing in tables.things] == [scene.prop, scene.place]
        assert tables.actions == [scene.action, "stand"][: len(people)]
        told = {"location": scene.place, "time": scene.time, "weather": scene.weather}
        assert told.items() <= tables.setting.items()
        assert tables.unread == 0


@pytest.mark.parametrize(
    ("table", "people", "unread"),
    [
        pytest.param("| Name | Character ID |\n|---|---|\n| Ann | char1 |", ["Ann"], 0, id="order"),
        pytest.param("|Character ID|Name|\n|char1|Ann|", ["Ann"], 0, id="no rule below the header"),
        pytest.param("Character ID | Name\n--- | ---\nchar1 | Ann", ["Ann"], 0, id="no outer bars"),
        pytest.param(
            "| **Character ID** | **Name** |\n|:-:|:-:|\n| `char1` | *Ann* |", ["Ann"], 0, id="bold"
        ),
        pytest.param("| CHARACTER ID | NAME |\n| char1 | Ann |", ["Ann"], 0, id="upper case"),
        pytest.param("| Character ID | Name |\n| char1 | A\\|B |", ["A|B"], 0, id="escaped bar"),
        pytest.param(
            "| Character ID | Name |\n| char1 |\n| char2 | Bo | x |\n| char3 | Cy |",
            ["Cy"],
            2,
            id="cells missing, cells too many",
        ),
        pytest.param("| Character ID | Name |\n| char1 | |\n| char2 | N/A |", [], 0, id="nameless"),
        pytest.param("| Character ID |\n| char1 |", [], 0, id="no column of names"),
        pytest.param("| Who | Name |\n|---|---|\n| char1 | Ann |", [], 2, id="unknown header"),
        pytest.param("| char1 | Ann |", [], 1, id="no header"),
        pytest.param("Ann walks.", [], 0, id="no table"),
    ],
)
def test_a_row_is_read_by_its_header_or_counted(table: str, people: list[str], unread: int) -> None:
    (found,) = frame_tables(f"## Image 1\n### Characters\n{table}\n", 1)
    assert [person.name for person in found.people] == people
    assert found.unread == unread


@pytest.mark.parametrize(
    ("heading", "frame"),
    [("## Image 2", 1), ("# IMAGE_2: dusk", 1), ("**Frame 2**", 1), ("## Image 3", None)],
)
def test_a_table_belongs_to_the_image_above_it(heading: str, frame: int | None) -> None:
    found = frame_tables(f"{heading}\n\n| Character ID | Name |\n| char1 | Ann |", 2)
    assert [bool(tables.people) for tables in found] == [frame == 0, frame == 1]


def test_what_stands_above_the_first_image_is_of_none() -> None:
    assert frame_tables("| Character ID | Name |\n| char1 | Ann |\n## Image 1", 1) == [
        FrameTables()
    ]


def test_without_a_chain_of_thought_frames_have_no_tables() -> None:
    assert frame_tables(None, 2) == frame_tables("", 2) == [FrameTables(), FrameTables()]


LINES = st.sampled_from(AS_THE_DATASET_WRITES_IT.splitlines())
MARKS = st.text(st.sampled_from("|-: \\#*\n\0") | st.characters(exclude_categories=["Cs"]))


@given(st.lists(LINES | MARKS).map("\n".join), st.integers(0, 3))
def test_any_text_is_read_or_left_out(thoughts: str, n_frames: int) -> None:
    found = frame_tables(thoughts, n_frames)
    assert len(found) == n_frames
    for tables in found:
        read = [*(p.name for p in tables.people), *tables.actions, *tables.setting.values()]
        squeezed = "".join(thoughts.replace("\\", "").split())
        assert all("".join(text.replace("\\", "").split()) in squeezed for text in read)


@given(st.data())
def test_a_line_that_is_lost_costs_itself_alone(data: st.DataObject) -> None:
    lines = AS_THE_DATASET_WRITES_IT.splitlines()
    lost = data.draw(st.sampled_from([n for n, line in enumerate(lines) if " char" in line]))
    (first, _) = frame_tables("\n".join(lines[:lost] + lines[lost + 1 :]), 2)
    assert [person.name for person in first.people] == [
        "Sarah" if "John" in lines[lost] else "John"
    ]
    assert len(first.things) == 2 and first.unread == 0
