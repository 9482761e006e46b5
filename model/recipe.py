"""Training recipes: one YAML file says everything about a run but the data folder and the device.

Keys are strict: an unknown one is refused, with the nearest that exists. Missing keys take the defaults below. The
net's own keys stand under `net:` and are those of `s2nn.model.nets.NetConfig`. The digest of a recipe (SHA-256 of its
canonical JSON) goes into every checkpoint trained with it.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from s2nn.hw.spec.errors import ConfigError
from s2nn.model.codewords import CHOICES, RANDOM
from s2nn.model.distill import Distillation
from s2nn.model.nets import NetConfig, TrainingOptions
from s2nn.model.os_quant import Assignment
from s2nn.model.shipped import read_yaml, shipped_names
from s2nn.model.strict import build

RECIPES = "recipes"
_LATER_FIELDS = ("latent_decay", "assignment", "distillation", "warmup_epochs", "gradient_clip", "train_images")
#: Training images and epochs of `Recipe.fast`.
FAST_IMAGES, FAST_EPOCHS = 1000, 3
_LATER_CODEBOOK_FIELDS = ("source", "twin")
_LATER_AUGMENTATIONS = ("mirror", "cutout_px")


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random affine motion of every training image, drawn anew in each epoch.

    shift_px : up to so many pixels in x and y. rotate_deg : up to so many degrees.
    scale : by a factor in [1 - scale, 1 + scale]. mirror : left and right change places in half of the images.
    cutout_px : side of a square of zeros at a random place, 0 for none.
    """

    shift_px: float = 2.0
    rotate_deg: float = 10.0
    scale: float = 0.1
    mirror: bool = False
    cutout_px: int = 0

    def __post_init__(self):
        if self.cutout_px < 0:
            raise ConfigError("must be at least 0", value=self.cutout_px, field="cutout_px")

    @property
    def is_off(self) -> bool:
        return self == Augmentation(shift_px=0, rotate_deg=0, scale=0)


@dataclass(frozen=True, kw_only=True)
class CodebookRecipe:
    """How sub-bit layers get their codewords; ignored by 1-bit nets.

    start_epoch : the layers are 1-bit up to this epoch and then choose their codewords.
    source : "random", "fitted" or "medoid", see `s2nn.model.codewords`; None is random with start_epoch 0 and without a
        twin, else fitted.
    twin : checkpoint of a trained 1-bit net of the same shape, whose kernels the codewords are chosen from; None takes
        the layer's own at start_epoch.
    learned, period, learning_rate, latent_scale : training of the codewords, see `s2nn.model.codebook`.
    """

    start_epoch: int = 0
    source: str | None = None
    twin: str | None = None
    learned: bool = True
    period: int = 25
    learning_rate: float = 0.01
    latent_scale: float = 0.1

    def __post_init__(self):
        if self.source not in (None, RANDOM, *CHOICES):
            raise ConfigError(f"must be null, {RANDOM} or one of {', '.join(CHOICES)}", value=self.source,
                              field="source")
        if self.choice == RANDOM and self.twin is not None:
            raise ConfigError("random codewords need no twin", value=self.twin, field="twin")
        if self.choice != RANDOM and self.start_epoch == 0 and self.twin is None:
            raise ConfigError("codewords can be chosen only from trained kernels: start_epoch must be at least 1, or a "
                              "twin must be given", value=self.source, field="source")

    @property
    def choice(self) -> str:
        """`source`, with its default resolved."""
        if self.source is not None:
            return self.source
        return RANDOM if self.start_epoch == 0 and self.twin is None else "fitted"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run.

    Parameters
    ----------
    dataset : a name of `s2nn.model.data.LOADERS`.
    epochs, batch_size, learning_rate, weight_decay : Adam with a cosine from learning_rate to 0, one value per step;
        weight decay only for the 8-bit layers, since that of a sign changes nothing but its latent.
    latent_decay : weight decay of the other layers' latents, an alternative to OS-Quant.
    assignment : how kernels choose codewords, see `s2nn.model.os_quant`.
    distillation : what the net learns from a full-precision teacher, see `s2nn.model.distill`.
    label_smoothing : of the cross-entropy on the logits.
    seed : weights, codebooks, order and augmentation.
    warmup_epochs : over so many first epochs the learning rate rises in a straight line, before its cosine.
    gradient_clip : largest norm of the whole gradient; 0 does not clip.
    train_images : train on about so many images, the classes' shares kept, chosen by the seed; None: on all.
    short_epochs, short_time_steps : so many first epochs run with fewer time steps; they cost accordingly less.
    bf16 : autocast the forward pass to bfloat16.
    """

    dataset: str = "mnist5k"
    net: NetConfig = field(default_factory=NetConfig)
    epochs: int = 40
    batch_size: int = 100
    learning_rate: float = 0.003
    weight_decay: float = 0.0
    latent_decay: float = 0.0
    label_smoothing: float = 0.1
    augmentation: Augmentation = field(default_factory=Augmentation)
    codebook: CodebookRecipe = field(default_factory=CodebookRecipe)
    assignment: Assignment = field(default_factory=Assignment)
    distillation: Distillation = field(default_factory=Distillation)
    surrogate: str = "atan"
    slope: float | None = None
    seed: int = 0
    short_epochs: int = 0
    short_time_steps: int = 1
    bf16: bool = False
    warmup_epochs: int = 0
    gradient_clip: float = 0.0
    train_images: int | None = None

    def __post_init__(self):
        for name, least in (("epochs", 1), ("batch_size", 2), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"must be at least {least}", value=getattr(self, name), field=name)
        if not self.learning_rate > 0:
            raise ConfigError("must be positive", value=self.learning_rate, field="learning_rate")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError("must lie in [0, 1)", value=self.label_smoothing, field="label_smoothing")
        if not 0 <= self.short_epochs < self.epochs:
            raise ConfigError("must lie in 0..epochs-1", value=self.short_epochs, field="short_epochs")
        if not 1 <= self.short_time_steps <= self.net.time_steps:
            raise ConfigError("must lie in 1..time_steps", value=self.short_time_steps, field="short_time_steps")
        if self.net.full_precision and not self.distillation.is_off:
            raise ConfigError("must be none for a full-precision net", value=self.distillation.loss,
                              field="distillation.loss")
        for name in ("latent_decay", "gradient_clip"):
            if not getattr(self, name) >= 0:
                raise ConfigError("must be at least 0", value=getattr(self, name), field=name)
        if not 0 <= self.warmup_epochs < self.epochs:
            raise ConfigError("must lie in 0..epochs-1", value=self.warmup_epochs, field="warmup_epochs")
        if self.train_images is not None and self.train_images < 1:
            raise ConfigError("must be null or at least 1", value=self.train_images, field="train_images")
        if not 0 <= self.codebook.start_epoch < self.epochs:
            raise ConfigError("must lie in 0..epochs-1", value=self.codebook.start_epoch, field="codebook.start_epoch")

    def training_options(self, *, compiled: bool = False) -> TrainingOptions:
        return TrainingOptions(surrogate=self.surrogate, slope=self.slope, learn_codewords=self.codebook.learned,
                               codebook_period=self.codebook.period, codebook_latent_scale=self.codebook.latent_scale,
                               codebook_started=self.codebook.start_epoch == 0 and self.codebook.choice == RANDOM,
                               assignment=self.assignment, compiled=compiled)

    def as_dict(self) -> dict[str, Any]:
        """Plain values; what came later is left out while it has its default: older digests stay as they were."""
        values, defaults = {**asdict(self), "net": self.net.as_dict()}, asdict(Recipe())
        for name in _LATER_FIELDS:
            if values[name] == defaults[name]:
                del values[name]
        for name in _LATER_CODEBOOK_FIELDS:
            if values["codebook"][name] is None:
                del values["codebook"][name]
        for name in _LATER_AUGMENTATIONS:
            if values["augmentation"][name] == defaults["augmentation"][name]:
                del values["augmentation"][name]
        return values

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()

    def fast(self) -> "Recipe":
        """The same recipe in a minute or so, to see that it runs: its accuracy says nothing.

        `FAST_IMAGES` training images and `FAST_EPOCHS` epochs at most; codebooks start, and short epochs and warm-up
        end, so much earlier.
        """
        epochs = min(self.epochs, FAST_EPOCHS)

        def shorter(count: int) -> int:
            return min(count, epochs - 1, -(-count * epochs // self.epochs))

        return replace(self, epochs=epochs, short_epochs=shorter(self.short_epochs),
                       warmup_epochs=shorter(self.warmup_epochs), train_images=min(self.train_images or FAST_IMAGES,
                                                                                   FAST_IMAGES),
                       codebook=replace(self.codebook, start_epoch=shorter(self.codebook.start_epoch)))

    def with_format(self, weights: str) -> "Recipe":
        """The same recipe for another weight format: "fp", "binary", or "eta2" .. "eta6".

        Only the last keeps the net's `etas`; "fp", which is what teachers are, drops whatever says how weights are
        compressed, so that recipes which differ in that alone have one teacher.
        """
        if weights == "fp":
            return replace(self, net=replace(self.net, eta=None, etas={}, full_precision=True), latent_decay=0.0,
                           distillation=Distillation(), assignment=Assignment(), codebook=CodebookRecipe())
        if weights == "binary":
            return replace(self, net=replace(self.net, eta=None, etas={}, full_precision=False))
        if weights[:3] != "eta" or not weights[3:].isdigit():
            raise ConfigError('weight format must be "fp", "binary" or "eta2" .. "eta6"', value=weights)
        return replace(self, net=replace(self.net, eta=int(weights[3:]), full_precision=False))


def recipe_from_dict(values: dict[str, Any], *, source: object = None) -> Recipe:
    """A recipe from the mapping that `Recipe.as_dict` gives or a YAML file holds."""
    return build(Recipe, values, prefix="", source=source)


def shipped_recipes() -> list[str]:
    """Names of the recipes that come with the package."""
    return shipped_names(RECIPES)


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A shipped recipe by its name, or one of yours by its path."""
    return recipe_from_dict(read_yaml(RECIPES, name_or_path, kind="recipe"), source=name_or_path)
