"""``hf:FOLDER_OR_NAME``: image classifiers of Hugging Face transformers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskstack.errors import WRONG_VALUE, InputError, ModelError, reason, require
from maskstack.files import parse_json
from maskstack.models.loaded import LoadedModel, loaded
from maskstack.models.own_transform import OwnTransform, as_tensor, same
from maskstack.models.preprocess import Preprocess, grey_normalisation, many_channels
from maskstack.models.spec import PICTURE_KEYS, Spec, adjusted

_ATTENTION = (None, "eager", "sdpa", "flash_attention_2", "flex_attention")
"""Ways to compute attention that transformers has itself; any other name is that of code on the hub."""

_NOT_A_CLASSIFIER = (
    "{name} could not be loaded as an image classifier ({why}); give a folder or hub name with config.json, "
    "model.safetensors and preprocessor_config.json"
)


def load_hf(spec: Spec) -> LoadedModel:
    """Load an image classifier from a folder, or from the hub if the flag ``pretrained`` is given.

    Only safetensors files are read, and no code of the checkpoint is run.

    Raises:
        InputError: The name is not a folder, and the flag is missing.
        MissingExtraError: transformers is not installed.
        ModelError: The folder or the download is not a complete image classifier with its image processor.
    """
    folder = Path(spec.name).is_dir()
    if not folder and "pretrained" not in spec.flags:
        raise InputError(
            f"{spec.name} is not a folder; to download it from the hub, add the flag: {spec.text},pretrained"
        )
    transformers = require("transformers", extra="models")
    options = {"local_files_only": folder, "trust_remote_code": False}
    safe = {**options, "use_safetensors": True, "output_loading_info": True}
    with _quiet(transformers.utils.logging):
        _check_files(transformers, spec.name, options)
        model, info = _fetch(transformers.AutoModelForImageClassification, spec.name, safe)
    if missing := sorted(info["missing_keys"])[:3]:
        raise ModelError(f"{spec.name} has no weights for {', '.join(missing)}; give a checkpoint with a class head")
    processor = _fetch(transformers.AutoImageProcessor, spec.name, options)
    preprocess = hf_preprocess(spec, processor, channels=getattr(model.config, "num_channels", 3) or 3)
    return loaded(
        model.float(),
        preprocess,
        spec=spec.text,
        weights=Path(spec.name).name if folder else "pretrained",
        class_names=_names(model.config.id2label),
    )


def _check_files(transformers: Any, name: str, options: dict[str, Any]) -> None:
    """Refuse a checkpoint whose files name code, another network, or files of another folder."""
    config = _read(transformers.PretrainedConfig, "get_config_dict", name, options)
    processor = _read(transformers.ImageProcessingMixin, "get_image_processor_dict", name, options)
    kind = processor.get("image_processor_type") or processor.get("feature_extractor_type") or "ImageProcessor"
    wrong = {
        "auto_map": any("auto_map" in each for each in (config, processor)),
        "quantization_config": "quantization_config" in config,
        "attn_implementation": any(
            config.get(key) not in _ATTENTION for key in ("attn_implementation", "_attn_implementation")
        ),
        "use_kernels": bool(config.get("use_kernels")),
        "use_pretrained_backbone": bool(config.get("use_pretrained_backbone")),
        "backbone": ":" in str(config.get("backbone", "")) or "/" in str(config.get("backbone", "")),
        "architecture": ":" in str(config.get("architecture", "")),
        "image_processor_type": not re.fullmatch(r"\w*(ImageProcessor(Fast|Pil)?|FeatureExtractor)", str(kind)),
        "model.safetensors.index.json": not _is_index_inside(Path(name)),
    }
    for key, is_wrong in wrong.items():
        if is_wrong:
            raise ModelError(
                f"the configuration of {name} names code or files of others in {key}, which is refused; give a "
                "checkpoint without it"
            )


def _read(kind: Any, method: str, name: str, options: dict[str, Any]) -> dict[str, Any]:
    try:
        found = getattr(kind, method)(name, **options)[0]
    # Damaged or missing files raise errors of transformers, huggingface_hub, httpx and json.
    except Exception as error:
        raise ModelError(_NOT_A_CLASSIFIER.format(name=name, why=reason(error))) from error
    if not isinstance(found, dict):
        raise ModelError(_NOT_A_CLASSIFIER.format(name=name, why="its configuration is not a JSON object"))
    return found


def _is_index_inside(folder: Path) -> bool:
    """Whether the index of a folder's weights, if there is one, names only files of this folder."""
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return True
    try:
        files = parse_json(index.read_bytes())["weight_map"].values()
        return all(Path(file).name == file and file.endswith(".safetensors") for file in files)
    except (OSError, *WRONG_VALUE):
        return False


def _fetch(auto: Any, name: str, options: dict[str, Any]) -> Any:
    try:
        return auto.from_pretrained(name, **options)
    # transformers, huggingface_hub, httpx and safetensors raise different types of error.
    except Exception as error:
        raise ModelError(_NOT_A_CLASSIFIER.format(name=name, why=reason(error))) from error


@contextlib.contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Inside the context, transformers shows no progress bars and no load reports."""
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def hf_preprocess(spec: Spec, processor: Any, *, channels: int = 3) -> Preprocess | OwnTransform:
    """The image processor itself as preprocessing; with keys that change it, ours, where it gives the same values.

    Args:
        spec: The spec; its keys change the preprocessing.
        processor: The image processor.
        channels: Number of channels that the network takes.

    Raises:
        InputError: A key was given, and ours differs from the processor.
        ModelError: The processor does not make one image of a photo.
    """
    if channels not in (1, 3):
        return adjusted(many_channels(channels), spec.options)
    source = f"the image processor {type(processor).__name__} of {spec.name}"
    try:
        own = OwnTransform.measured(ProcessorCall(processor, channels), source=source, channels=channels)
    except InputError as error:
        raise ModelError(str(error)) from error
    keys = sorted(spec.options.keys() & set(PICTURE_KEYS))
    if not keys:
        return own
    try:
        ours = _preprocess(processor.to_dict(), channels)
    # Each processor has settings of its own, of any type.
    except Exception:
        ours = None
    if ours is None or not same(ours, own):
        raise InputError(f"{source} does more than resize, crop and normalise; leave out {', '.join(keys)}")
    return adjusted(ours, spec.options)


@dataclass(frozen=True, eq=False)
class ProcessorCall:
    """Calls an image processor on one photo.

    Attributes:
        processor: The image processor.
        channels: 3 for colours; 1 to give it a grey image and the mean and std of grey.
    """

    processor: Any
    channels: int = 3

    def __call__(self, image: Image.Image) -> Any:
        """The processor's pixel values, C x H x W."""
        options: dict[str, Any] = {}
        given: Any = image
        if self.channels == 1:
            given = np.array(image)[None]
            options = {"input_data_format": "channels_first", "do_convert_rgb": False}
            for key in ("image_mean", "image_std"):
                values = getattr(self.processor, key, None)
                if values is not None:
                    options[key] = list(grey_normalisation(tuple(np.atleast_1d(values).tolist())))
        found = self.processor(images=given, return_tensors="pt", **options)
        return as_tensor(found["pixel_values"])


def _preprocess(settings: Mapping[str, Any], channels: int) -> Preprocess | None:
    """Our preprocessing with an image processor's settings; None where it gives images of no fixed size."""
    geometry = _geometry(settings)
    if geometry is None:
        return None
    size, share, squash = geometry
    normalised = settings if settings.get("do_normalize") else {}
    mean, std = (tuple(np.atleast_1d(normalised.get(key) or ()).tolist()) for key in ("image_mean", "image_std"))
    # Preprocess normalises values of 0..1; the processor normalises 0..255 times its own factor.
    unit = 255 * settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 255.0
    mean, std = (mean * 3 if len(mean) == 1 else mean or (0.0,) * 3, std * 3 if len(std) == 1 else std or (1.0,) * 3)
    if channels == 1:
        mean, std = grey_normalisation(mean), grey_normalisation(std)
    return Preprocess(
        size=size,
        share=share,
        squash=squash,
        mean=tuple(value / unit for value in mean),
        std=tuple(value / unit for value in std),
        resampling=Image.Resampling(int(settings.get("resample") or Image.Resampling.BILINEAR)),
        channels=channels,
    )


def _geometry(settings: Mapping[str, Any]) -> tuple[tuple[int, int], float, bool] | None:
    """Size, share and squash of the preprocessing, from the settings of an image processor."""
    size, crop = settings.get("size") or {}, settings.get("crop_size") or {}
    size = {key: value for key, value in dict(size).items() if value}
    edge = size.get("shortest_edge")
    if settings.get("do_center_crop") and crop:
        target = (crop["height"], crop["width"])
        resized = edge or min(size.get("height", target[0]), size.get("width", target[1]))
        return target, min(1.0, min(target) / resized), edge is None
    if edge:
        # ConvNeXt's processor crops to crop_pct of the resized image below 384 pixels, and stretches it from 384 on.
        share = settings.get("crop_pct") if edge < 384 else None
        return (edge, edge), share or 1.0, "crop_pct" in settings and share is None
    if "height" in size and "width" in size:
        return (size["height"], size["width"]), 1.0, True
    return None


def _names(id2label: Mapping[int, str] | None) -> tuple[str, ...]:
    names = tuple((id2label or {}).get(index, "") for index in range(len(id2label or {})))
    # transformers uses LABEL_0, LABEL_1, ... if the names are unknown.
    return () if all(name.startswith("LABEL_") or not name for name in names) else names
