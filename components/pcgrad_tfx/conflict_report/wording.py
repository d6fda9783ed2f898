"""The report's sentences and labels.

A sentence about one training says so. Only intervals over seeds allow one about the tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pcgrad_tfx.conflict_report.hidden_conflict import HiddenConflict
from pcgrad_tfx.conflict_report.probes import Estimate
from pcgrad_tfx.conflict_report.verdicts import Entry, Findings, PairFinding, TaskFinding
from pcgrad_tfx.formatting import listed, number, one_line, percent, significant

# Longer names are shortened in the charts.
LABEL_LENGTH = 18

ONE_TASK = "There is one task, so there is nothing that it could conflict with."
NOT_PROBED = (
    "This training measured no probes, so what its tasks cost each other is not known; train with "
    "`probes` above 0 under `[training]` to measure it."
)
NOT_COMPARABLE = (
    "The tasks' gradients could not be compared: they share no variables, or never have labels "
    "together."
)
NO_COMPARISON = (
    "Whether surgery helps on these data was not tested: no comparison was run; "
    "`tfx-pcgrad run --compare` runs one."
)

# More tasks are counted, and only these of them named.
_MOST_TASKS = 4
_MOST_NAMED = 3
# In a table there is room for more.
_MOST_ENTRIES = 5
# Less is 0% as it is written.
_LEAST_SHARE = 0.005


def conflict_sentences(findings: Findings, where: str) -> tuple[str, ...]:
    """What the tasks cost each other.

    Args:
        findings: Of at least two tasks, with probes.
        where: What the findings hold for: "in this training" or "over 5 seeds of PCGrad".

    Returns:
        A sentence for each task; of many tasks one that counts, and those of the extreme ones.
    """
    tasks = findings.tasks
    if len(tasks) <= _MOST_TASKS:
        return tuple(task_sentence(task, where, len(tasks)) for task in tasks)
    judged = [task for task in tasks if task.verdict in ("cost", "help")]
    extreme = sorted(judged, key=lambda task: task.kept.value or 0.0)
    shown = [*extreme[: _MOST_NAMED - 1], *extreme[_MOST_NAMED - 1 :][-1:]]
    return (_counts(tasks, where), *(task_sentence(task, where, len(tasks)) for task in shown))


def task_sentence(task: TaskFinding, where: str, tasks: int) -> str:
    """What the others add to a task or take from it.

    Args:
        task: The finding.
        where: See `conflict_sentences`.
        tasks: The number of tasks.
    """
    name, start = one_line(task.task), _start(where)
    if task.verdict == "noise":
        return f"{start} the gradient of {name} is noise: nothing can be said of it."
    if task.verdict == "no interval":
        return f"{start} {name} was probed too rarely: nothing can be said of it."
    kept, interval = share(task.kept), share_interval(task.kept)
    entries = listed(map(_in_words, _named(task.entries)))
    because = f": {entries}" if entries else ""
    if task.verdict == "no evidence":
        hint = _chance_hint(task.kept, tasks)
        said = (
            f"{start} there is no evidence that the others cost or help {name}, which keeps {kept} "
            f"of its own progress ({interval}{hint}){because}."
        )
    elif task.verdict == "help":
        said = f"{start} {name} makes {kept} of its own progress ({interval}){because}."
    elif (task.kept.value or 0.0) < 0:
        said = (
            f"{start} the others take more than all of {name}'s own progress, {kept} is left "
            f"({interval}){because}."
        )
    else:
        said = f"{start} {name} keeps {kept} of its own progress ({interval}){because}."
    surgery = task.kept_with_surgery
    if task.verdict == "cost" and surgery and surgery.interval:
        said += f" With surgery it keeps {percent(surgery.value)} ({share_interval(surgery)})."
    return said


def hidden_sentence(hidden: HiddenConflict, batch_size: int | None, chunk_rows: int) -> str:
    """That noise hides a loss from PCGrad.

    Args:
        hidden: The loss.
        batch_size: Of the training, if known.
        chunk_rows: Of the probes' chunks.
    """
    names = listed(map(one_line, (hidden.task, hidden.other)))
    if hidden.is_of_steps:
        of_rows = f" of {batch_size:,} rows" if batch_size else ""
        seen = f"{percent(hidden.seen)} of the steps{of_rows}"
    else:
        seen = f"{percent(hidden.seen)} of chunks of {chunk_rows:,} rows"
    remedy = ""
    if hidden.enough_rows is not None:
        rows = significant(hidden.enough_rows, 2)
        remedy = f"; from batches of about {rows} rows on it could act on it"
    return (
        f"In this training, noise hides the conflict of {names} from PCGrad at this batch size: "
        f"their gradients oppose each other in {seen}, those of one and the same task in "
        f"{percent(hidden.by_noise)} of chunks{remedy}."
    )


def batches_sentence(pairs: Sequence[PairFinding]) -> str | None:
    """What the training's own steps show, where nothing else is known; None without any."""
    shares = [pair.conflicting.value for pair in pairs if pair.conflicting]
    known = sorted(share for share in shares if share is not None)
    if not known:
        return None
    low, high = percent(known[0]), percent(known[-1])
    seen = f"{low} of the steps" if low == high else f"{low} to {high} of the steps, by pair"
    return (
        f"In this training, the gradients of two tasks oppose each other in {seen}; about half "
        "would by noise alone, so no verdict follows from that."
    )


def trend(pair: PairFinding) -> str:
    """How the cosine changed over the training."""
    thirds = [third.value for third in pair.thirds]
    first, last = (thirds[0], thirds[-1]) if len(thirds) > 1 else (None, None)
    if first is None or last is None or pair.trend.interval is None:
        return "cannot be told"
    low, high = pair.trend.interval
    if low <= 0 <= high:
        return "no change beyond noise"
    if first >= 0 > last:
        return "they agree at first and oppose each other later"
    if first < 0 <= last:
        return "they oppose each other at first and agree later"
    verb = "agree" if last >= 0 else "oppose each other"
    return f"they {verb} {'more and more' if abs(last) > abs(first) else 'less and less'}"


def share(estimate: Estimate | None) -> str:
    """A share of a task's own progress."""
    return percent(estimate.value if estimate else None)


def share_interval(estimate: Estimate | None) -> str:
    """Its interval."""
    interval = estimate.interval if estimate else None
    return "–" if interval is None else " to ".join(map(percent, interval))


def cosine(estimate: Estimate | None) -> str:
    """A cosine; with two digits, and three where it is small."""
    return "–" if estimate is None else number(estimate.value, _digits(estimate))


def cosine_interval(estimate: Estimate | None) -> str:
    """Its interval."""
    if estimate is None or estimate.interval is None:
        return "–"
    return " to ".join(number(end, _digits(estimate)) for end in estimate.interval)


def entries_in_words(entries: Iterable[Entry]) -> str:
    """The entries of a ledger, the largest first, and how many more there are."""
    known = sorted((entry for entry in entries if _size(entry) <= -_LEAST_SHARE), key=_size)
    words = [_in_words(entry) for entry in known[:_MOST_ENTRIES]]
    more = len(known) - len(words)
    return ", ".join([*words, f"{more} more"] if more else words)


def _counts(tasks: Sequence[TaskFinding], where: str) -> str:
    verdicts = [task.verdict for task in tasks]
    counts = [
        f"{verdicts.count(verdict)} {words}"
        for verdict, words in (
            ("cost", "lose progress to the others"),
            ("help", "gain from them"),
            ("no evidence", "show no evidence of either"),
            ("noise", "have a gradient that is noise"),
            ("no interval", "were probed too rarely"),
        )
        if verdict in verdicts
    ]
    return f"{_start(where)} of {len(tasks)} tasks {listed(counts)}."


def _start(where: str) -> str:
    return f"{where[0].upper()}{where[1:]},"


def _named(entries: Sequence[Entry]) -> list[Entry]:
    """The largest of those that are beyond noise."""
    beyond = [
        entry
        for entry in entries
        if entry.verdict in ("cost", "help") and _size(entry) <= -_LEAST_SHARE
    ]
    return sorted(beyond, key=_size)[:_MOST_NAMED]


def _size(entry: Entry) -> float:
    return -abs(entry.share.value or 0.0)


def _in_words(entry: Entry) -> str:
    value = entry.share.value or 0.0
    verb = "takes" if value < 0 else "adds"
    return f"{one_line(entry.other)} {verb} {percent(abs(value))}"


def _chance_hint(kept: Estimate, tasks: int) -> str:
    """One interval of many misses 1 by chance."""
    if kept.interval is None or kept.interval[0] <= 1 <= kept.interval[1]:
        return ""
    return f"; among {tasks} tasks one such interval is no evidence"


def _digits(estimate: Estimate) -> int:
    return 3 if abs(estimate.value or 0.0) < 0.1 else 2


def chart_labels(names: Sequence[str], length: int = LABEL_LENGTH) -> dict[str, str]:
    """Short and distinct names for a chart.

    Args:
        names: Distinct names.
        length: How many characters there is room for.

    Returns:
        A label for each name; long ones lose their middle and, if that is not enough to tell them
        apart, get a number.
    """
    shortened = {name: _shorten(one_line(name), length) for name in names}
    found = list(shortened.values())
    distinct = {}
    for i, (name, label) in enumerate(shortened.items(), 1):
        unique = found.count(label) == 1
        distinct[name] = label if unique else f"{i} {_shorten(label, length - len(f'{i} '))}"
    return distinct


def _shorten(text: str, length: int) -> str:
    if len(text) <= length:
        return text
    head = length // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"
