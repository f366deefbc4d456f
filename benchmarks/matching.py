"""How well items that are one data element are told from others: precision and recall on labelled pairs of real names.

The pairs (item_pairs.csv, their sources in item_pairs_sources.csv) are names alone, labelled by hand within one kind of object:
`same` when one department's answer serves both, `different` otherwise. Words and rules were tuned on the `dev` pairs, from standards
and common wording. The `held` pairs, mostly from the columns of real government tables, were labelled once the words had been listed (a
few of those columns had been seen before) and nothing was changed for them; pairs whose brackets gave rise to a rule were moved to `dev`.
Single names are taken, no text and no data; where a source states a licence it is named beside it. Names that are written alike are left
out: they would be right without any work.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import Row
from catalog_svc.matching.domain import Lexicon, Verdict, compare

PAIRS = Path(__file__).with_name("item_pairs.csv")
_SUBJECT = "同一类对象"


@dataclass(frozen=True)
class Score:
    """What was found of the labelled pairs: `same` verdicts against labels, and `doubtful` ones beside them."""

    right: int
    wrong: int
    missed: int
    doubted: int
    pairs: int

    @property
    def precision(self) -> float:
        """Return the share of `same` verdicts that are right."""
        return self.right / (self.right + self.wrong)

    @property
    def recall(self) -> float:
        """Return the share of same pairs that were called the same."""
        return self.right / (self.right + self.missed)

    @property
    def found(self) -> float:
        """Return the share of same pairs that were called the same or doubtful, so that a person looks."""
        return (self.right + self.doubted) / (self.right + self.missed)


def score(split: str) -> Score:
    """Compare the labelled pairs of a split with the shipped words."""
    lexicon = Lexicon()
    right = wrong = missed = doubted = pairs = 0
    with PAIRS.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] != split:
                continue
            pairs += 1
            left, other = (lexicon.element(row[side], subject=_SUBJECT) for side in ("left", "right"))
            verdict, is_same = compare(left, other).verdict, row["label"] == "same"
            right += is_same and verdict is Verdict.SAME
            wrong += not is_same and verdict is Verdict.SAME
            missed += is_same and verdict is not Verdict.SAME
            doubted += is_same and verdict is Verdict.DOUBTFUL
    return Score(right, wrong, missed, doubted, pairs)


def run() -> list[Row]:
    """Measure both splits; the rows are those of the names the words were not made for."""
    held, tuned = score("held"), score("dev")
    for name, one in (("held", held), ("dev", tuned)):
        print(f"  {name:<6}{one.pairs:>4} pairs  precision {one.precision:.3f}  recall {one.recall:.3f}  same or doubtful {one.found:.3f}")
    work = f"names of real tables the words were not made for, {held.pairs} labelled pairs"
    return [
        Row("item_matching_precision", f"called the same and are: {work}", held.precision, "ratio", ">= 0.95"),
        Row("item_matching_recall", f"are the same and called so: {work}", held.recall, "ratio"),
        Row("item_matching_found", f"are the same and called so or doubtful: {work}", held.found, "ratio"),
    ]
