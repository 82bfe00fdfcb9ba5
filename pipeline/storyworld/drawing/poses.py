"""Ten postures and one of standing about: joints in units of the body's height.

x points to the front (the side the figure faces), y up from the ground. `front_*` are the limbs
on the side it faces. The thing at hand goes to `hold`.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.storyworld.drawing.shapes import Point


@dataclass(frozen=True)
class Pose:
    """Joints of one posture."""

    hip: Point
    neck: Point
    head: Point
    front_elbow: Point
    front_hand: Point
    rear_elbow: Point
    rear_hand: Point
    front_knee: Point
    front_foot: Point
    rear_knee: Point
    rear_foot: Point
    hold: Point
    head_angle: float = 0.0
    top: float = 1.0  # highest point, of the body's height
    reach: float = 0.3  # farthest point to either side
    seat: bool = False
    airborne: bool = False
    overhead: bool = False
    open_hand: bool = False
    finger: bool = False
    speed: bool = False
    flat: bool = False


POSES = {
    "stand": Pose(
        (0, 0.38),
        (0, 0.68),
        (0.01, 0.86),
        (0.13, 0.54),
        (0.14, 0.42),
        (-0.13, 0.54),
        (-0.13, 0.41),
        (0.05, 0.2),
        (0.06, 0.035),
        (-0.05, 0.2),
        (-0.06, 0.035),
        (0.2, 0.42),
    ),
    "walk": Pose(
        (0, 0.38),
        (0.02, 0.68),
        (0.04, 0.86),
        (0.15, 0.55),
        (0.26, 0.48),
        (-0.14, 0.55),
        (-0.22, 0.44),
        (0.11, 0.22),
        (0.18, 0.045),
        (-0.04, 0.20),
        (-0.17, 0.06),
        (0.29, 0.47),
    ),
    "run": Pose(
        (-0.06, 0.36),
        (0.10, 0.62),
        (0.17, 0.79),
        (0.22, 0.50),
        (0.33, 0.58),
        (-0.10, 0.60),
        (-0.24, 0.50),
        (0.15, 0.33),
        (0.22, 0.14),
        (-0.16, 0.22),
        (-0.37, 0.24),
        (0.36, 0.57),
        head_angle=-12,
        reach=0.45,
        top=0.95,
        speed=True,
    ),
    "sit": Pose(
        (-0.10, 0.27),
        (-0.09, 0.57),
        (-0.07, 0.75),
        (0.05, 0.44),
        (0.20, 0.45),
        (-0.16, 0.42),
        (-0.06, 0.31),
        (0.13, 0.29),
        (0.15, 0.035),
        (0.09, 0.26),
        (0.06, 0.035),
        (0.24, 0.47),
        top=0.9,
        seat=True,
    ),
    "kneel": Pose(
        (-0.09, 0.22),
        (0.05, 0.48),
        (0.12, 0.64),
        (0.16, 0.34),
        (0.25, 0.24),
        (-0.02, 0.32),
        (0.08, 0.16),
        (0.03, 0.055),
        (-0.18, 0.045),
        (-0.05, 0.05),
        (-0.30, 0.05),
        (0.28, 0.26),
        head_angle=-14,
        top=0.8,
    ),
    "lie": Pose(
        (0.06, 0.10),
        (-0.23, 0.11),
        (-0.38, 0.15),
        (-0.04, 0.24),
        (0.03, 0.36),
        (-0.34, 0.05),
        (-0.46, 0.10),
        (0.24, 0.22),
        (0.34, 0.05),
        (0.25, 0.075),
        (0.44, 0.05),
        (0.05, 0.38),
        head_angle=82,
        top=0.62,
        reach=0.55,
        flat=True,
    ),
    "wave": Pose(
        (0, 0.38),
        (0, 0.68),
        (0.0, 0.86),
        (0.15, 0.54),
        (0.23, 0.45),
        (-0.2, 0.79),
        (-0.16, 1.0),
        (0.06, 0.2),
        (0.075, 0.035),
        (-0.06, 0.2),
        (-0.075, 0.035),
        (0.27, 0.44),
        top=1.12,
        open_hand=True,
    ),
    "point": Pose(
        (-0.05, 0.36),
        (-0.04, 0.66),
        (-0.03, 0.84),
        (0.19, 0.66),
        (0.36, 0.67),
        (0.02, 0.46),
        (0.14, 0.38),
        (0.08, 0.2),
        (0.11, 0.035),
        (-0.13, 0.19),
        (-0.21, 0.04),
        (0.21, 0.36),
        reach=0.51,
        top=0.98,
        finger=True,
    ),
    "jump": Pose(
        (-0.02, 0.50),
        (0.01, 0.79),
        (0.02, 0.97),
        (0.17, 0.73),
        (0.28, 0.68),
        (-0.19, 0.82),
        (-0.29, 0.95),
        (0.17, 0.50),
        (0.12, 0.31),
        (-0.13, 0.42),
        (-0.29, 0.34),
        (0.31, 0.67),
        top=1.11,
        airborne=True,
        reach=0.4,
    ),
    "lift": Pose(
        (0, 0.31),
        (0, 0.60),
        (0.0, 0.77),
        (0.2, 0.73),
        (0.14, 0.95),
        (-0.2, 0.73),
        (-0.14, 0.95),
        (0.13, 0.2),
        (0.09, 0.035),
        (-0.13, 0.2),
        (-0.09, 0.035),
        (0.0, 0.96),
        overhead=True,
    ),
    "dance": Pose(
        (0.03, 0.39),
        (0.06, 0.68),
        (0.08, 0.855),
        (0.22, 0.72),
        (0.33, 0.60),
        (-0.13, 0.80),
        (-0.03, 1.03),
        (0.05, 0.2),
        (0.03, 0.035),
        (-0.15, 0.31),
        (-0.36, 0.27),
        (0.35, 0.59),
        head_angle=-6,
        reach=0.48,
        top=1.08,
    ),
}
