"""docs/train.md: the recipes run; where a library is not installed, what it asks of a dataset is held instead."""

import ast
import importlib.util
import inspect
import pickle
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import dermdata as dd

PAGE = Path(__file__).parents[2] / "docs/train.md"
BLOCKS = re.findall(
    r"^## (.*?)$|```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
)
LIBRARIES = (
    "torch", "torchvision", "timm", "lightning", "segmentation_models_pytorch", "transformers", "monai", "sklearn"
)  # fmt: skip
INSTALLED = {name for name in LIBRARIES if importlib.util.find_spec(name)}


def list_blocks() -> Iterator[tuple[str, str]]:
    """Each block with the heading over it."""
    heading = ""
    for title, code in BLOCKS:
        heading = title or heading
        if code:
            yield heading, code


def find_libraries(code: str) -> set[str]:
    """The libraries that a block stands on: those that it imports, and PyTorch where it says `torch`."""
    found = {
        name.partition(".")[0]
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
        )
    }
    return {*found, *(["torch"] if "torch." in code or "DataLoader" in code else [])} & {*LIBRARIES}


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The page's own cohort."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DERMDATA_CACHE", str(tmp_path / "cache"))
    space: dict[str, Any] = {}
    exec(next(code for _, code in list_blocks()), space)
    return space["parts"]


# ------------------------------------------------------------------ the page


@pytest.mark.filterwarnings("default")  # what the libraries warn of is theirs
def test_the_recipes_run(parts: Any, tmp_path: Path) -> None:
    """From the first to the last, in one namespace as in a notebook; all of them where the extra `recipes` is installed."""
    space: dict[str, Any] = {"dd": dd, "parts": parts, "classes": parts.train.to_torch().classes}
    run = {
        title for title, code in list_blocks() if find_libraries(code) <= INSTALLED and not exec(code, space)
    }
    assert {"One cohort, split by patient", "scikit-learn on embeddings"} <= run
    assert 0.5 < space["accuracy"] <= 1
    missing = {title for title, code in list_blocks() if not find_libraries(code) <= INSTALLED}
    assert run.isdisjoint(missing)
    assert bool(missing) == (len(INSTALLED) < len(LIBRARIES))


def test_each_recipe_calls_what_there_is() -> None:
    """Names and arguments of every call of ours, also where the block's library is not installed."""
    seen = 0
    for _, code in list_blocks():
        for call in (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            owner = (
                dd
                if isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "dd"
                else dd.Manifest
            )
            ours = getattr(owner, name, None)
            if ours is None or name.startswith("_"):
                assert owner is not dd, ast.unparse(call)
                continue
            words = {one.arg: None for one in call.keywords if one.arg}
            inspect.signature(ours).bind(*([None] if owner is dd.Manifest else []), *call.args, **words)
            seen += 1
    assert seen > 20


def test_data_takes_under_ten_lines() -> None:
    """Of each recipe the lines that name a part, a loader or a transform."""
    for title, code in list_blocks():
        lines = [
            one
            for one in code.splitlines()
            if re.search(r"parts\.|DataLoader\(|transform|to_pandas|v2\.", one)
        ]
        assert len(lines) < 10, title


# ------------------------------------------------------------------ what a DataLoader asks for


def to_levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.resize((8, 8)), np.float32).transpose(2, 0, 1) / 255


def to_pair(image: Image.Image, mask: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    return to_levels(image), np.asarray(mask.resize((8, 8), Image.Resampling.NEAREST)) > 0


def collate(items: list[Any]) -> Any:
    """The rules of `torch.utils.data.default_collate`: arrays, numbers and texts, in tuples and mappings, alike in each.

    https://pytorch.org/docs/stable/data.html#torch.utils.data.default_collate
    """
    first = items[0]
    if isinstance(first, dict):
        assert all(one.keys() == first.keys() for one in items)
        return {name: collate([one[name] for one in items]) for name in first}
    if isinstance(first, tuple):
        assert {len(one) for one in items} == {len(first)}
        return tuple(collate(list(column)) for column in zip(*items, strict=True))
    assert isinstance(first, np.ndarray | np.generic | int | float), type(first)
    assert len({np.asarray(one).dtype for one in items}) == len({np.shape(one) for one in items}) == 1
    return np.stack([np.asarray(one) for one in items])


def test_batches_of_images_and_classes(parts: Any) -> None:
    data = pickle.loads(pickle.dumps(parts.train.to_torch(to_levels)))
    images, targets = collate([data[place] for place in range(len(data))])
    assert (images.shape, images.dtype) == ((len(data), 3, 8, 8), np.float32)
    assert targets.dtype == np.int64
    assert set(targets) == set(data.targets) == {0, 1}


def test_batches_of_images_and_masks(parts: Any) -> None:
    data = pickle.loads(pickle.dumps(parts.train.to_torch(to_pair, return_mask=True)))
    images, masks = collate([data[place] for place in range(len(data))])
    assert masks.shape == (len(images), 8, 8)
    assert masks.dtype == bool
    assert 0 < masks.mean() < 1


def test_batches_with_values_beside_the_images(parts: Any) -> None:
    data = pickle.loads(pickle.dumps(parts.train.to_torch(to_levels, columns=["age", "sex", "malignancy"])))
    _, targets, known = collate([data[place] for place in range(len(data))])
    assert {name: column.dtype.name for name, column in known.items()} == {
        "age": "float32", "sex": "int64", "malignancy": "int64",
    }  # fmt: skip
    assert {len(column) for column in known.values()} == {len(targets)}
    assert known["sex"].min() == -1


def test_dictionaries_of_paths_for_monai(parts: Any) -> None:
    """`monai.data.Dataset` of dicts, `LoadImaged` opens their paths: https://docs.monai.io/en/stable/transforms.html"""
    pairs = parts.train.where("mask_path is not null").to_pandas(["path", "mask_path"]).to_dict("records")
    assert pairs
    for pair in pairs[:5]:
        assert Path(pair["path"]).is_absolute()
        with Image.open(pair["path"]) as image, Image.open(pair["mask_path"]) as mask:
            assert image.size == mask.size


def test_columns_for_the_trainer_of_transformers(parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Trainer` takes a dataset of `pixel_values` and `labels`: https://huggingface.co/docs/transformers/tasks/image_classification"""
    monkeypatch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    data = parts.manifest.where("label is not null").to_huggingface()
    shown = data.with_transform(
        lambda rows: {
            "pixel_values": [to_levels(one.convert("RGB")) for one in rows["image"]],
            "labels": rows["label"],
        }
    )
    rows = [shown["train"][place] for place in range(4)]
    assert collate([{**row} for row in rows])["pixel_values"].shape == (4, 3, 8, 8)
    assert data["train"].features["label"].names == parts.train.to_torch().classes


def test_a_folder_that_was_moved_trains_on_another_machine(parts: Any, tmp_path: Path) -> None:
    """Exported on one path, sent to another, without the cache: files, classes and parts are what they were."""
    from sklearn.neighbors import KNeighborsClassifier

    rows = parts.manifest.where("label is not null")
    rows.export("imagefolder", tmp_path / "here", copy=True, resize=(16, 16))
    rows.export("webdataset", tmp_path / "here-too", resize=(16, 16))
    there = shutil.move(tmp_path / "here", tmp_path / "cluster")
    shutil.rmtree(tmp_path / "cache")
    sets = {}
    for part in ("train", "test"):
        files = sorted((Path(there) / part).rglob("*.jpg"))
        pictures = []
        for path in files:
            with Image.open(path) as image:
                pictures.append(np.asarray(image, np.float32).ravel())
        sets[part] = (np.stack(pictures), [path.parent.name for path in files])
    model = KNeighborsClassifier(1).fit(*sets["train"])
    assert 0.4 < model.score(*sets["test"]) <= 1
    assert not [path for path in Path(there).rglob("*") if path.is_symlink()]
