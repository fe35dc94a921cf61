"""What an output is, is recognised at the first pass, used, said, and can be chosen."""

import pytest
import torch
from tests.small import network, photos
from torch import Tensor, nn

from maskstack import MDM, Explanation, InputError, ModelError, objectives
from maskstack.objectives import Reading
from maskstack.scoring import class_probabilities, prediction, scoring

QUICK = {"sizes": (2, 5), "steps": 3}
IMAGES = photos(2, (24, 24))


def net(classes: int = 5, *after: nn.Module, scale: float = 8.0, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))
    with torch.no_grad():
        body[-1].weight.mul_(scale)
    return nn.Sequential(*body, *after).eval()


def read(model, images: Tensor = IMAGES, **options) -> Reading:
    with scoring(model, images, objectives.custom(lambda output: torch.zeros(len(images))), **options) as scored:
        assert scored.objective.reading is not None
        return scored.objective.reading


class Probabilities(nn.Module):
    """A softmax that is no module, and an average of two: only the values show what they are."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, images: Tensor) -> Tensor:
        return (self.inner(images).softmax(1) + self.inner(images.flip(-1)).softmax(1)) / 2


class TwoTowers(nn.Module):
    """Similarities of images and texts, as CLIP gives them, or with a bias, as SigLIP does."""

    def __init__(self, texts: int, *, bias: bool) -> None:
        super().__init__()
        self.image = net(6)
        self.texts = nn.Parameter(torch.randn(texts, 6))
        self.logit_scale = nn.Parameter(torch.ones(1))
        self.logit_bias = nn.Parameter(torch.full((1,), -2.0)) if bias else None

    def forward(self, images: Tensor) -> Tensor:
        fits = (self.texts @ nn.functional.normalize(self.image(images)).t()) * self.logit_scale.exp()
        return (fits if self.logit_bias is None else fits + self.logit_bias.to(fits.device)).t()


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda: TwoTowers(4, bias=False), "logits"),
        (lambda: TwoTowers(4, bias=True), "independent_logits"),
        (lambda: TwoTowers(1, bias=True), "logit"),
        (lambda: (lambda towers: lambda x: towers(x).softmax(1))(TwoTowers(4, bias=True)), "probabilities"),
        (lambda: TwoTowers(4, bias=True).image, "logits"),
        (lambda: net(5), "logits"),
        (lambda: net(2, scale=0.01), "logits"),
        (lambda: net(5, nn.Softmax(1)), "probabilities"),
        (lambda: Probabilities(net(7)), "probabilities"),
        (lambda: torch.jit.trace(net(9, nn.Softmax(1)), IMAGES), "probabilities"),
        (lambda: torch.export.export(net(3, nn.Sigmoid()), (IMAGES,)).module(), "independent_probabilities"),
        (lambda: net(5, nn.LogSoftmax(1)), "log_probabilities"),
        (lambda: net(14, nn.Sigmoid()), "independent_probabilities"),
        (lambda: net(1), "logit"),
        (lambda: net(1, nn.Sigmoid()), "probability"),
        (lambda: net(1, nn.Sigmoid(), nn.Flatten(0)), "probability"),
        (lambda: (lambda inner: lambda x: 50 + 20 * inner(x).tanh())(net(1)), "number"),
        (lambda: net(1, nn.Softplus()), "number"),
        (lambda: net(64)[:-1], "logits"),  # eight values: too few to be called an embedding
        (lambda: nn.Sequential(net(64), nn.LayerNorm(64)), "embedding"),
        (lambda: (lambda inner: lambda x: nn.functional.normalize(inner(x)))(net(6)), "embedding"),
        (lambda: nn.Conv2d(3, 4, 3), "map"),
        (lambda: lambda x: x.mean(1), "map"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_kind_of_an_output_is_recognised(make, kind: str, dtype) -> None:
    model = make()
    if dtype != torch.float32:
        if not isinstance(model, nn.Sequential):
            pytest.skip("only plain modules are converted")
        model = model.to(dtype)
    assert read(model, IMAGES.to(dtype)).kind == kind


PARTS = torch.eye(5)[:, :4]
COMPUTED = {
    "survival": lambda z: (1 - z.sigmoid()).cumprod(dim=1),
    "cumulative": lambda z: z.softmax(dim=1).cumsum(dim=1),
    "rank-consistent": lambda z: z.sigmoid().cummin(dim=1).values,
    "exp of log-sigmoids": lambda z: nn.functional.logsigmoid(z).exp(),
    "by a condition": lambda z: torch.where(z > 0, z.sigmoid(), (z / 2).sigmoid()),
    "parts of classes added up": lambda z: z.softmax(dim=1) @ PARTS,
    "turned round": lambda z: z.sigmoid().flip(1),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_a_few_probabilities_computed_from_probabilities_are_not_taken_for_logits(name: str) -> None:
    inner = net(5)
    assert read(lambda images: COMPUTED[name](inner(images))).kind == "independent_probabilities"


def test_a_few_values_from_0_to_1_that_no_linear_layer_made_are_in_doubt() -> None:
    inner = net(5, scale=1.0)
    found = read(lambda images: (inner(images).tanh() + 1) / 2)
    assert found.kind == "logits"
    assert "they may be probabilities" in found.doubt
    assert "they may be probabilities" in read(lambda x: (inner(x).tanh() + 1) / 2, class_names=list("abcde")).doubt


PROBABILITIES = {
    "softmax": (nn.Softmax(1), lambda z: z.softmax(1)),
    "log softmax": (nn.LogSoftmax(1), lambda z: z.softmax(1)),
    "sigmoid": (nn.Sigmoid(), lambda z: z.sigmoid()),
}


@pytest.mark.parametrize("name", PROBABILITIES)
def test_probabilities_are_used_as_they_are_and_every_objective_agrees_with_that_of_the_logits(name: str) -> None:
    after, expected = PROBABILITIES[name]
    logits = net(5)(IMAGES).detach()
    shares = expected(logits)
    torch.testing.assert_close(class_probabilities(net(5, after), IMAGES), shares)
    target = shares.argmax(1)
    own = shares.gather(1, target[:, None])[:, 0]
    wanted = {
        "probability": own,
        "log_probability": own.log(),
        "logit": own.log() - (1 - own).log(),
        "margin": logits.topk(2).values[:, 0] - logits.topk(2).values[:, 1],
    }
    for objective, values in wanted.items():
        with scoring(net(5, after), IMAGES, meaning=objective) as scored:
            assert scored.objective.targets == target.tolist()
            torch.testing.assert_close(scored.scores(IMAGES), values, rtol=1e-3, atol=1e-4)


def test_a_softmax_changes_neither_score_nor_map() -> None:
    images = photos(1)
    plain, soft = (MDM(m, sizes=(2, 5), steps=8)(images, 2) for m in (net(5), net(5, nn.Softmax(1))))
    torch.testing.assert_close(plain.score_before, soft.score_before)
    torch.testing.assert_close(plain.saliency, soft.saliency, atol=1e-2, rtol=0)
    assert soft.output == "probabilities of 5 classes"
    assert not soft.output_doubt


@pytest.mark.parametrize("after", [(), (nn.Sigmoid(),), (nn.Flatten(0),)], ids=["logit", "probability", "B"])
def test_a_single_output_explains_both_of_its_classes(after) -> None:
    model, images = net(1, *after, scale=1), photos(4, (24, 24))
    z = net(1, scale=1)(images).detach()[:, 0]
    p = z.sigmoid()
    torch.testing.assert_close(class_probabilities(model, images), torch.stack([1 - p, p], dim=1))
    for target, expected in ((0, 1 - p), (1, p), (None, torch.maximum(p, 1 - p))):
        found = MDM(model, **QUICK)(images, target)
        torch.testing.assert_close(found.score_before, expected)
        assert found.target == tuple((z > 0).long().tolist() if target is None else [target] * 4)
    for objective, expected in (("logit", -z), ("margin", -z), ("log_probability", (1 - p).log())):
        with scoring(model, images, 0, meaning=objective) as scored:
            torch.testing.assert_close(scored.scores(images), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(InputError, match="target 2 is out of range; the network has classes 0 to 1"):
        MDM(model, **QUICK)(images, 2)


@pytest.mark.slow
def test_a_regression_is_explained_as_its_number() -> None:
    inner = net(1, scale=1)

    def age(images: Tensor) -> Tensor:
        return 50 + 20 * inner(images).tanh()

    found = MDM(age, **QUICK)(IMAGES)
    torch.testing.assert_close(found.score_before, age(IMAGES)[:, 0].detach())
    assert (found.output, found.objective, found.target) == ("a number", "number", None)
    assert prediction(age, IMAGES).values.shape == (2, 1)
    with pytest.raises(ModelError, match="a number, not class scores"):
        class_probabilities(age, IMAGES)
    mdm = MDM(net(1), **QUICK, output="number")
    unclear = mdm(IMAGES)
    torch.testing.assert_close(unclear.score_before, net(1)(IMAGES)[:, 0].detach())
    checked = mdm.check(IMAGES, unclear, seeds=2)
    assert checked.trust is not None
    assert checked.trust.seeds.shape == (2, 1)
    assert "output=number" in MDM(net(1), **QUICK)(IMAGES).output_doubt
    assert MDM(net(3), **QUICK, output="regression")(IMAGES, 1).score_before.tolist() == pytest.approx(
        net(3)(IMAGES)[:, 1].tolist(), rel=1e-5
    )
    with pytest.raises(InputError, match="3 numbers, of which none is predicted; give the index"):
        MDM(net(3), output="number")(IMAGES)


@pytest.mark.slow
def test_an_embedding_is_called_one_and_the_ways_to_explain_it_work() -> None:
    model = nn.Sequential(net(64), nn.LayerNorm(64))
    for goal in (None, 5):
        with pytest.raises(ModelError, match=r"an embedding of 64 values, not class scores; use objectives\.cosine"):
            MDM(model, **QUICK)(IMAGES, goal)
    with torch.no_grad():
        own = model(IMAGES)
    found = MDM(model, **QUICK)(IMAGES, objectives.cosine(own))
    torch.testing.assert_close(found.score_before, torch.ones(2))
    assert found.output == "an embedding of 64 values"
    one = MDM(model, objective="logit", **QUICK)(IMAGES, 5)
    torch.testing.assert_close(one.score_before, own[:, 5])
    assert MDM(model, output="logits", **QUICK)(IMAGES).output == "logits of 64 classes"
    # Channels that were pooled and not flattened are the same embedding.
    torch.manual_seed(0)
    pooled = nn.Sequential(nn.Conv2d(3, 40, 3), nn.BatchNorm2d(40), nn.ReLU(), nn.AdaptiveAvgPool2d(1)).eval()
    with torch.no_grad():
        given = pooled(IMAGES).flatten(1)
    assert MDM(pooled, **QUICK)(IMAGES, objectives.cosine(given)).output == "an embedding of 40 values"


@pytest.mark.slow
def test_networks_without_a_head_are_recognised() -> None:
    timm = pytest.importorskip("timm", reason="the extra 'models' is not installed")
    for name in ("test_resnet", "test_vit", "test_efficientnet", "test_convnext"):
        size = {"img_size": 64} if name == "test_vit" else {}
        for classes, kind in ((0, "embedding"), (7, "logits")):
            model = timm.create_model(name, num_classes=classes, **size).eval()
            assert read(nn.Sequential(nn.Identity(), model), photos(1, (64, 64))).kind == kind, name


class Heads(nn.Module):
    """Features first, as some exported networks give them, then probabilities."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = net(5)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner[:-1](images), self.inner(images).softmax(1)


@pytest.mark.slow
def test_one_of_several_outputs_is_named_and_can_be_chosen() -> None:
    model, shares = Heads(), net(5)(IMAGES).softmax(1).detach()
    first = MDM(model, objective="logit", **QUICK)(IMAGES)
    assert "(output 0 of 2: 0, 1)" in first.output
    assert "choose another with output=" in first.output_doubt
    for choice in (1, -1, "1", "1:probabilities"):
        found = MDM(model, output=choice, **QUICK)(IMAGES)
        assert found.output == "probabilities of 5 classes (output 1 of 2: 0, 1)"
        assert not found.output_doubt
        torch.testing.assert_close(found.score_before, shares.amax(1))
    named = lambda images: dict(zip(("features", "shares"), model(images), strict=True))  # noqa: E731
    torch.testing.assert_close(MDM(named, output="shares", **QUICK)(IMAGES).score_before, shares.amax(1))
    with pytest.raises(ModelError, match=r"choose one with output= \(features, shares\)"):
        MDM(named, **QUICK)(IMAGES)
    for wrong, words in ((2, "output 2 is out of range"), ("share", "neither an output .*features, shares")):
        with pytest.raises(InputError, match=words):
            MDM(named, output=wrong, **QUICK)(IMAGES)
    with pytest.raises(InputError, match="output is True"):
        MDM(named, output=True)
    with pytest.raises(InputError, match="cannot be read as logits"):
        MDM(nn.Conv2d(3, 4, 3), output="logits", **QUICK)(IMAGES)


def test_a_users_word_overrides_what_was_recognised() -> None:
    unsure = lambda images: images.mean((2, 3)).abs().clamp(0, 1)  # noqa: E731
    assert read(unsure, output="independent_probabilities").kind == "independent_probabilities"
    assert read(net(5), output="independent_logits").kind == "independent_logits"
    torch.testing.assert_close(
        class_probabilities(net(5), IMAGES, output="independent_logits"), net(5)(IMAGES).sigmoid().detach()
    )


@pytest.mark.parametrize(
    ("make", "kind", "words"),
    [
        (lambda: net(5), "probabilities", r"as probabilities: its values are -.* to .*from 0 to 1; give output=logits"),
        (lambda: net(5), "independent_probabilities", "give output=independent_logits, or leave the kind out"),
        (lambda: lambda images: 9 + images.mean((1, 2, 3)), "probabilities", "as probability: .*output=logit, or"),
        (lambda: net(5, nn.Softplus()), "log_probabilities", "must be at most 0; give output=logits"),
        (lambda: lambda images: (images.mean((2, 3)), 30 * images.mean((2, 3))), "1:probabilities", "=1:logits"),
        (lambda: net(5, nn.Sigmoid()), "probabilities", "values sum to .* output=independent_probabilities if each"),
    ],
)
def test_a_stated_kind_that_the_values_contradict_is_refused(make, kind, words) -> None:
    with pytest.raises(InputError, match=words):
        MDM(make(), output=kind, **QUICK)(IMAGES)


def test_a_stated_kind_that_the_values_fit_is_used() -> None:
    for last, kind in (
        (nn.Softmax(1), "probabilities"),
        (nn.Sigmoid(), "independent_probabilities"),
        (nn.LogSoftmax(1), "log_probabilities"),
        (nn.LogSigmoid(), "log_probabilities"),
    ):
        assert read(net(5, last), output=kind).kind == kind
    assert read(net(1, nn.Sigmoid()), output="probabilities").kind == "probability"


def test_a_depth_is_explained_over_its_own_pixels_and_a_map_asks_for_a_region() -> None:
    depth = lambda images: images.mean(dim=1)  # noqa: E731
    mask = torch.zeros(24, 24)
    mask[3:9, 4:12] = 1
    found = MDM(depth, **QUICK)(IMAGES, objectives.region(mask))
    torch.testing.assert_close(found.score_before, IMAGES.mean(1)[:, 3:9, 4:12].mean((1, 2)))
    with pytest.raises(ModelError, match=r"a map of 24 x 24, not images x classes; use objectives.region"):
        MDM(depth, **QUICK)(IMAGES)


def test_a_detector_that_finds_nothing_is_said_to_find_nothing() -> None:
    def detect(images: Tensor) -> tuple[Tensor, Tensor]:
        score = images.mean((1, 2, 3)).sigmoid()[:, None]
        return torch.tensor([[[0.0, 0, 5, 5]]]).expand(len(images), 1, 4), score

    found = MDM(detect, **QUICK)(IMAGES, objectives.box_score((10, 10, 20, 20), lambda output: output))
    for row in range(2):
        sentence = found.trust.verdict(row).sentence
        assert "The detector found nothing that overlaps the box" in sentence
        assert "blank image" not in sentence


def test_the_reading_is_saved_and_loaded(tmp_path) -> None:
    found = MDM(network(), output="logits", **QUICK)(photos(1))
    loaded = Explanation.load(found.save(tmp_path / "found"))
    assert (loaded.output, loaded.output_doubt) == ("logits of 5 classes", "")
    assert Explanation.load(MDM(net(1), **QUICK)(IMAGES).save(tmp_path / "two")).output_doubt


def test_all_methods_take_the_same_words() -> None:
    from maskstack.explainers import HDM
    from maskstack.explainers.gradients import IntegratedGradients

    shares = net(5)(IMAGES).softmax(1).detach().amax(1)
    hdm = HDM(Heads(), benchmark=(2,), auxiliary=4, steps=4, output=1)
    for method in (hdm, IntegratedGradients(Heads(), objective="probability", output=1)):
        torch.testing.assert_close(method(IMAGES).score_before, shares)


def test_class_scores_after_a_relu_that_sum_to_100_are_no_percentages() -> None:
    head = nn.Linear(IMAGES[0].numel(), 4)
    nn.init.zeros_(head.weight)
    head.bias.data = torch.tensor([20.0, 30.0, 50.0, -1.0])
    assert read(nn.Sequential(nn.Flatten(), head, nn.ReLU()), IMAGES).kind == "logits"


@pytest.mark.parametrize("total", [0.95, 1.05, 95.0, 105.0])
def test_values_that_sum_nearly_to_1_or_100_are_neither_probabilities_nor_percentages(
    total: float,
) -> None:
    values = torch.full((1, 4), total / 4)
    assert read(lambda images: values + 0 * images.mean(dim=(1, 2, 3)).unsqueeze(1), IMAGES).kind != "probabilities"


@pytest.mark.parametrize("images", [2, 3, 5])
def test_an_output_without_one_row_for_each_image_gets_one_sentence(images: int) -> None:
    inner = net(4)
    for model in (lambda x: inner(x).T, lambda x: inner(x).squeeze() if len(x) == 1 else inner(x).T):
        with pytest.raises(ModelError, match="must give one row"):
            MDM(model, **QUICK)(photos(images), 1)


def test_detections_may_be_of_another_number_in_each_part_of_a_batch() -> None:
    def detector(images: Tensor) -> Tensor:
        found = images.mean(dim=(2, 3))[:, :1]
        return found.repeat(1, 2 + len(images)).unsqueeze(2)

    found = MDM(detector, **QUICK)(photos(3), objectives.custom(lambda output: output[:, :, 0].amax(dim=1)))
    assert found.score_before.shape == (3,)


@pytest.mark.parametrize("logits", [(0.2, -0.19), (1.0, -0.97)])
def test_two_sigmoids_that_sum_to_one_by_chance_are_independent(logits) -> None:
    def labels(images: Tensor) -> Tensor:
        return (torch.tensor([logits]) + 0 * images.mean((1, 2, 3))[:, None]).sigmoid()

    assert abs(float(labels(IMAGES)[0].sum()) - 1) < 1e-2
    assert read(labels).kind == "independent_probabilities"
