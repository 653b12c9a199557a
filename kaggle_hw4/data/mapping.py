"""mapping.json of the official dataset: the label of every speaker."""

from pathlib import Path

from kaggle_hw4.data.json_files import Object, Problems, read_object, whole_numbers

MAPPING = "mapping.json"


def read_speakers(folder: Path, problems: Problems) -> list[str]:
    """The speakers in label order; [], and problems added, where mapping.json does not give them.

    `id2speaker` says the same again: it may be missing, but must not disagree.
    """
    mapping = read_object(folder / MAPPING, problems)
    if mapping is None:
        return []
    ids, names = mapping.get("speaker2id"), mapping.get("id2speaker")
    if not isinstance(ids, dict) or not isinstance(names, dict | None):
        problems.add(f"{MAPPING}: found no speaker2id and id2speaker, expected both")
        return []
    labels = whole_numbers(ids.values())
    if set(labels) != set(range(len(ids))):
        problems.add(f"{MAPPING}: speaker2id: the ids are not 0 to {len(ids) - 1}, each once")
        return []
    by_label = {label: speaker for speaker, label in zip(ids, labels, strict=True)}
    speakers = [by_label[label] for label in range(len(ids))]
    _check_names(speakers, names, problems)
    return speakers


def _check_names(speakers: list[str], names: Object | None, problems: Problems) -> None:
    for i, speaker in enumerate(speakers):
        if not speaker.strip() or not speaker.isprintable():
            problem = f"{MAPPING}: speaker2id: {speaker!r} is not a speaker name"
            problems.add(problem, (MAPPING, "name"))
        if names is not None and names.get(str(i)) != speaker:
            problem = (
                f"{MAPPING}: id2speaker[{i}]: found {names.get(str(i))!r:.60}, "
                f"expected {speaker!r} as in speaker2id"
            )
            problems.add(problem, (MAPPING, "id2speaker"))
    if names is not None and len(names) > len(speakers):
        problem = f"{MAPPING}: id2speaker: {len(names)} entries, expected {len(speakers)}"
        problems.add(problem)
