import threading

from processing.lanes import Kinds, Lane, Lanes

TELLING = Lane(frozenset({"register", "hook"}), 2)
LONG = Lane(frozenset({"rendition"}), 1)


def kinds(*named: str, others: bool) -> Kinds:
    return Kinds(frozenset(named), others)


def test_all_kinds_may_begin_while_all_slots_are_free() -> None:
    assert Lanes(2).free(0) == kinds(others=True)
    assert Lanes(2, [TELLING, LONG]).free(0) == kinds(others=True)


def test_a_full_lane_keeps_its_own_kinds_out_and_no_others() -> None:
    lanes = Lanes(1, [TELLING, LONG])
    lanes.take("hook")
    assert lanes.free(0) == kinds(others=True)
    lanes.take("register")
    assert lanes.free(0) == kinds("register", "hook", others=True)
    lanes.take("process")
    assert lanes.free(0) == kinds("rendition", others=False)
    lanes.give_back("hook")
    assert lanes.free(0) == kinds("rendition", "register", "hook", others=False)
    lanes.take("rendition")
    lanes.take("register")
    assert lanes.free(0) is None
    lanes.give_back("process")
    assert lanes.free(0) == kinds("rendition", "register", "hook", others=True)


def test_whoever_waits_for_a_slot_is_told_of_it() -> None:
    lanes = Lanes(1)
    lanes.take("process")
    found: list[Kinds | None] = []
    waiting = threading.Thread(target=lambda: found.append(lanes.free(30)))
    waiting.start()
    lanes.give_back("process")
    waiting.join(30)
    assert found == [kinds(others=True)]
