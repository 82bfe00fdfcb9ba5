"""What a failing disk does to a file."""

from hypothesis import strategies as st


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with a bit flipped or some zeroed, cut off, empty, or with more behind them."""
    kind = draw(st.sampled_from(["flip", "flip", "flip", "zeros", "cut", "empty", "longer"]))
    place = draw(st.integers(0, len(whole) - 1))
    if kind == "flip":
        flipped = whole[place] ^ (1 << draw(st.integers(0, 7)))
        return whole[:place] + bytes([flipped]) + whole[place + 1 :]
    if kind == "zeros":
        zeros = bytes(min(draw(st.integers(1, 600)), len(whole) - place))
        return whole[:place] + zeros + whole[place + len(zeros) :]
    return {"cut": whole[:place], "empty": b"", "longer": whole + whole[place:]}[kind]
