"""What a failing disk does to a file."""

from hypothesis import strategies as st


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with one bit flipped, cut off somewhere, empty, or with something behind them."""
    kind = draw(st.sampled_from(["flip", "flip", "flip", "cut", "empty", "longer"]))
    place = draw(st.integers(0, len(whole) - 1))
    if kind == "flip":
        flipped = whole[place] ^ (1 << draw(st.integers(0, 7)))
        return whole[:place] + bytes([flipped]) + whole[place + 1 :]
    return {"cut": whole[:place], "empty": b"", "longer": whole + whole[place:]}[kind]
