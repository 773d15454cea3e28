"""Whose turn it is: handicaps in the queue of jobs.

A job's rank is its time of arrival plus a handicap by what it is about, and the lowest rank goes
first. So a photo overtakes a long video that came before it, but only one that came within the
handicap: after that time nothing that is new goes first, and nothing waits for ever.
"""

from datetime import timedelta

from processing.declared import Declared

AT_ONCE = timedelta(0)
"""For what takes no processor time: the posts backend and hooks are told."""
IMAGE = timedelta(seconds=10)
SHORTEST_VIDEO = timedelta(seconds=30)
LONGEST_VIDEO = timedelta(minutes=10)
LAST = timedelta(minutes=30)
"""For what nobody waits for: renditions of media that can be seen already."""

_BYTES_PER_SECOND = 1_000_000


def examination(declared: Declared, size: int) -> timedelta:
    """The handicap of a file of `size` bytes that is to be examined.

    A photo that is declared as one is short work. Everything else is taken for a video, whose
    work grows with its size. What a client says decides about its turn alone.
    """
    families = declared.families()
    if families and all(family == "image" for family in families):
        return IMAGE
    by_size = SHORTEST_VIDEO + timedelta(seconds=size / _BYTES_PER_SECOND)
    return min(by_size, LONGEST_VIDEO)
