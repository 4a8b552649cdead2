"""The largest person of a scene, followed from frame to frame.

People are connected parts of the alpha, in cells. A part is whoever had its cells in the frame
before. Where a part was several people before, they touch, and `touching` tells them apart.
"""

import math
from collections.abc import Mapping

import numpy as np

from rvm_client.refine.cells import Cells
from rvm_client.refine.components import BoolArray, Labels, labelled, spread
from rvm_client.refine.people import LEAST_CELLS, Parts, Person, in_common, part_of
from rvm_client.refine.touching import Frame, looks_of, split

# Half of the alpha: what is fainter connects nothing.
_CORE_LEVEL = 128
# How long sizes are remembered, and how much larger than the subject somebody must have been.
_MEMORY_SECONDS = 2.0
_TAKEOVER = 1.5
# The share of a part, or of a person, below which the one was not the other.
_LEAST_SHARE = 0.25
# The share of a person that is the person.
_MOST = 0.6
# What came into view so short a while ago, and is so small beside what it touches, is its hand.
_YOUNG_SECONDS = 1.0
_SMALL = 1 / 3
# Two large parts of one person that are apart for so long are two people.
_APART_SECONDS = 1.0
# The share of colours in common below which somebody who comes is somebody else.
_OTHER_LOOKS = 0.2
# How much a frame changes what somebody looks like.
_LOOKS_OF_A_FRAME = 0.1
# Above all labels.
_FIRST = np.int32(2**31 - 1)


class Following:
    """Says for each frame of a scene where its subject is: whoever is the largest over time."""

    def __init__(self) -> None:
        self._people: dict[int, Person] = {}
        self._before: Frame | None = None
        self._subject = 0
        self._last_label = 0
        self._seconds = 0.0

    def step(self, cells: Cells, seconds: float) -> BoolArray:
        """[h,w]: where in the next frame something else than the subject is seen.

        Args:
            cells: the frame.
            seconds: its time.
        """
        core, count = labelled(cells.alpha >= _CORE_LEVEL)
        areas = np.bincount(core.ravel(), minlength=count + 1).tolist()
        labels = self._recognised(Parts(core, areas, cells), seconds)
        self._remember(labels, cells, seconds)
        seen = cells.alpha > 0
        nearest = spread(np.where(labels == self._subject, _FIRST, labels), seen)
        other: BoolArray = seen & (nearest != _FIRST)
        return other

    def _recognised(self, parts: Parts, seconds: float) -> Labels:
        """[h,w]: whose each cell of the core is; 0 where that is not known."""
        owners: dict[int, int] = {}
        touching: dict[int, list[int]] = {}
        hands: set[int] = set()
        for part, claims in self._claims(parts).items():
            who = self._without_hands(claims, seconds)
            hands |= {*claims} - {*who}
            if len(who) > 1:
                touching[part] = who
            else:
                owners[part] = who[0]
        self._part(touching, owners, parts)
        in_touch = {label for who in touching.values() for label in who}
        for person in [p for p in self._people.values() if p.label not in in_touch]:
            self._look_for_two(person, parts, owners, seconds)
        self._welcome(parts, owners, touching, seconds)
        by_part = np.zeros(len(parts.areas), np.int32)
        by_part[list(owners)] = list(owners.values())
        labels = by_part[parts.core]
        for part, who in touching.items():
            self._tell_apart(part, who, parts, labels)
        for label in hands - {*np.unique(labels).tolist()}:
            del self._people[label]
        self._settle(labels, touching)
        return labels

    def _claims(self, parts: Parts) -> dict[int, list[int]]:
        """For each part that somebody was seen in before: who."""
        if self._before is None:
            return {}
        before = self._before.labels
        both = (parts.core > 0) & (before > 0)
        pairs = parts.core[both].astype(np.int64) << 32 | before[both]
        found: dict[int, list[tuple[int, int]]] = {}
        for pair, shared in zip(*np.unique(pairs, return_counts=True), strict=True):
            found.setdefault(int(pair >> 32), []).append((int(shared), int(pair & 0xFFFFFFFF)))
        return {part: self._largest_shares(parts.areas[part], who) for part, who in found.items()}

    def _largest_shares(self, area: int, found: list[tuple[int, int]]) -> list[int]:
        large = [
            label
            for shared, label in found
            if shared >= _LEAST_SHARE * min(area, self._people[label].cells)
        ]
        return large or [max(found)[1]]

    def _without_hands(self, labels: list[int], seconds: float) -> list[int]:
        """Without what is as small and as new as a hand that comes into view before its arm."""
        most = max(self._people[label].cells for label in labels)
        people = [self._people[label] for label in labels]
        return [
            p.label
            for p in people
            if seconds - p.born_seconds >= _YOUNG_SECONDS or p.cells >= _SMALL * most
        ]

    def _part(self, touching: dict[int, list[int]], owners: dict[int, int], parts: Parts) -> None:
        """Who is nearly whole in a part of his own is in no other; then those left touch nobody."""
        elsewhere: dict[int, int] = {}
        for part, label in owners.items():
            elsewhere[label] = max(elsewhere.get(label, 0), parts.areas[part])
        for part, who in list(touching.items()):
            here = [
                label for label in who if elsewhere.get(label, 0) < _MOST * self._people[label].size
            ]
            if len(here) == 1:
                del touching[part]
                owners[part] = here[0]

    def _look_for_two(
        self, person: Person, parts: Parts, owners: dict[int, int], seconds: float
    ) -> None:
        """In two large parts of one person: one who was hidden behind it, or was taken for it."""
        own = sorted((parts.areas[p], p) for p, who in owners.items() if who == person.label)
        since, person.apart_since_seconds = person.apart_since_seconds, None
        if len(own) < 2 or own[-2][0] < LEAST_CELLS:
            return
        (area, second), (main_area, main) = own[-2:]
        hidden = [
            p
            for p in self._people.values()
            if p.hidden_by == person.label and area >= _LEAST_SHARE * p.size
        ]
        if hidden:
            other = max(hidden, key=lambda p: p.size)
            owners[part_of(other, person, main, second, parts)] = other.label
            other.hidden_by = 0
        elif area >= _SMALL * main_area:
            person.apart_since_seconds = seconds if since is None else since
            if seconds - person.apart_since_seconds >= _APART_SECONDS:
                owners[second] = self._add(float(area), -math.inf)

    def _welcome(
        self,
        parts: Parts,
        owners: dict[int, int],
        touching: Mapping[int, list[int]],
        seconds: float,
    ) -> None:
        """Say who those parts are that nobody was seen in before."""
        seen = {*owners.values(), *(label for who in touching.values() for label in who)}
        for part in parts.large():
            if part in owners or part in touching:
                continue
            if not self._subject:
                # A scene begins.
                belongs_to = self._softly_joined(part, parts, owners)
                owners[part] = belongs_to or self._add(float(parts.areas[part]), -math.inf)
            elif self._subject not in seen and self._may_be_subject(part, parts):
                owners[part] = self._subject
                self._people[self._subject].hidden_by = 0
                seen.add(self._subject)
            else:
                belongs_to = self._softly_joined(part, parts, owners)
                owners[part] = belongs_to or self._add(0.0, seconds)

    def _may_be_subject(self, part: int, parts: Parts) -> bool:
        looks = self._people[self._subject].looks
        return not looks.any() or in_common(looks, parts.looks(part)) > _OTHER_LOOKS

    def _softly_joined(self, part: int, parts: Parts, owners: Mapping[int, int]) -> int:
        """Whose a small part is that fainter alpha leads to; 0: nobody's."""
        beside = np.unique(parts.core[parts.soft == parts.soft[parts.core == part][0]])
        size = {owners[p]: parts.areas[p] for p in beside.tolist() if p in owners}
        owner = max(size, key=lambda label: size[label], default=0)
        return owner if owner and parts.areas[part] < _SMALL * size[owner] else 0

    def _add(self, size: float, born_seconds: float) -> int:
        self._last_label += 1
        self._people[self._last_label] = Person(self._last_label, size, born_seconds)
        return self._last_label

    def _tell_apart(self, part: int, who: list[int], parts: Parts, labels: Labels) -> None:
        """Fill a part of several people in."""
        assert self._before is not None
        # The subject last: it is the worse mistake to cut something of it away.
        in_order = sorted(who, key=lambda label: (label == self._subject, label))
        people = {label: self._people[label] for label in in_order}
        inside = parts.core == part
        found, drifts = split(inside, self._before, parts.cells.colours, people)
        labels[inside] = found[inside]
        for label, drift in drifts.items():
            self._people[label].drift = drift

    def _settle(self, labels: Labels, touching: Mapping[int, list[int]]) -> None:
        """Note who is hidden by whom, and who touches nobody."""
        in_touch = {label for who in touching.values() for label in who}
        seen = set(np.unique(labels).tolist())
        for person in self._people.values():
            if person.label not in in_touch:
                person.drift = np.zeros(2, np.float32)
            if person.cells and person.label not in seen and self._before is not None:
                who_is_there = np.bincount(labels[self._before.labels == person.label])
                who_is_there[0] = 0
                person.hidden_by = int(who_is_there.argmax())
        hiding = {person.hidden_by for person in self._people.values()}
        for person in self._people.values():
            person.is_alone = person.label not in in_touch | hiding

    def _remember(self, labels: Labels, cells: Cells, seconds: float) -> None:
        """Sizes, colours and places of this frame, and whose they make the subject."""
        weight = 1 - math.exp(-max(0.0, seconds - self._seconds) / _MEMORY_SECONDS)
        self._seconds = seconds
        areas = np.bincount(labels.ravel(), minlength=self._last_label + 1).tolist()
        for person in list(self._people.values()):
            person.cells = areas[person.label]
            person.size += (person.cells - person.size) * weight
            is_gone = not person.cells and person.size < LEAST_CELLS
            if is_gone and person.label != self._subject:
                del self._people[person.label]
        several = sum(1 for person in self._people.values() if person.cells) > 1
        colours = cells.colours if several else np.zeros((*labels.shape, 3), np.float32)
        for person in self._people.values():
            if several and person.cells and person.is_alone:
                looks = looks_of(colours[labels == person.label])
                change = _LOOKS_OF_A_FRAME if person.looks.any() else 1.0
                person.looks = person.looks + (looks - person.looks) * np.float32(change)
        self._before = Frame(colours, labels)
        self._choose()

    def _choose(self) -> None:
        if not self._people:
            return
        largest = max(self._people.values(), key=lambda person: person.size)
        if not self._subject or largest.size > _TAKEOVER * self._people[self._subject].size:
            self._subject = largest.label
