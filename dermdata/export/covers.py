"""Which masks each row names, and in which category each of them is."""

from dermdata.export import classes, files, leftout, pictures
from dermdata.export.annotations import Cover
from dermdata.export.job import Job


def of(job: Job, after: int) -> list[list[Cover]]:
    """Each row's masks: the lesion's in the row's class (else in the first), then structures' from `after` on."""
    table = job.table
    numbers = classes.numbers(classes.words(table, job.label), job.classes)
    lesions = leftout.text(table, "mask_path").to_pylist()
    there = pictures.masks(table, job)
    place = {name: after + number for number, name in enumerate(job.structures, 1)}
    further = further_masks(job)
    return [
        ([Cover(1 if number is None else number + 1, shown(name), path)] if name else [])
        + [Cover(place[structure], shown(own), where) for structure, own, where in more]
        for number, name, path, more in zip(numbers, lesions, there, further, strict=True)
    ]


def shown(name: str) -> str:
    """A mask's path below its dataset's folder; of one elsewhere on this machine just its name."""
    return name.rpartition("/")[2] if name.startswith("/") else name


def further_masks(job: Job) -> list[list[tuple[str, str, str | None]]]:
    """Each row's structures with the mask's name and file."""
    if not job.structures:
        return [[] for _ in range(job.table.num_rows)]
    rows = [
        sorted((name, path) for name, path in row or () if path) for row in job.table["masks"].to_pylist()
    ]
    found = files.nested([[path for _, path in row] for row in rows], job.table, job.roots)
    return [
        [(name, path, where) for (name, path), where in zip(row, places, strict=True)]
        for row, places in zip(rows, found, strict=True)
    ]
