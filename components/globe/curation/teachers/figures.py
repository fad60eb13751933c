"""How a teacher did, as curation.json tells it: counted from the journal's records, so over all runs that it took."""

from __future__ import annotations

from collections import Counter
from typing import Any

from globe.curation.teachers.replies import Record
from globe.curation.teachers.teacher import Teacher


class TeacherFigures:
    """Counts the latest record of each question that a teacher was asked."""

    def __init__(self, teacher: Teacher) -> None:
        """Count nothing yet.

        Args:
            teacher: Who was asked.
        """
        self._teacher = teacher
        self._counts = Counter[str]()
        self._servers = Counter[str]()
        self.served = Counter[str]()
        """Of how many answers of a VLM each model is, as they say."""

    def add(self, record: Record) -> None:
        """Count a question's record."""
        self._counts["asked"] += 1
        self._counts[record.status] += 1
        self._counts["retries"] += record.attempts - 1
        if record.vlm is not None:
            self.served[record.served or record.teacher] += 1
        if record.replica and record.status in ("ok", "malformed"):  # else it names who said something unusable before a failure
            self._servers[record.replica] += 1

    def figures(self) -> dict[str, Any]:
        """Questions asked = answered + malformed + timeouts + failed; retries counts the repeated calls of their latest round.

        Of a teacher with several servers, `replies` tells how many of those answered or malformed are from which; what came while
        it had a single server is from none of them. `served` tells which models the answers say they are from, where some say
        another than was asked for.
        """
        counts = self._counts
        figures: dict[str, Any] = {
            "asked": counts["asked"],
            "answered": counts["ok"],
            "malformed": counts["malformed"],
            "timeouts": counts["timeout"],
            "failed": counts["failed"],
            "retries": counts["retries"],
        }
        if self._teacher.replicas or self._servers:
            # A server that has been replaced since then is told as well.
            urls = dict.fromkeys([*self._teacher.urls, *sorted(self._servers)])
            figures["replies"] = {url: self._servers[url] for url in urls}
        if set(self.served) - {self._teacher.model}:
            figures["served"] = dict(sorted(self.served.items()))
        return figures
