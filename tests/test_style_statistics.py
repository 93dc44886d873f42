"""Style statistics by name: Gram matrices as before, a user's by loops, in tiles, beside each other in a batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from engine_rows import history_of, make_rows, manifest_of, pictures_of
from plugin_files import loaded, naming
from tiny_vgg import photograph, tiny_state
from torch import Tensor

import harness
from harness.config import Transfer, load_experiment
from harness.driver.jobs import make_jobs
from harness.errors import ConfigError, PluginError
from harness.features.vgg import VGG
from harness.objective.equations import content_loss, gram_per_position, style_layer_loss
from harness.objective.gradient import evaluate
from harness.objective.rows import Objective, RowObjective
from harness.objective.style_statistics import StyleStatistic
from harness.registries import Plugin
from harness.registries import registry as registries
from harness.runs.batch import Execution, run_batch
from harness.runs.prepare import tile_px_of
from harness.runs.store import RunFolder

PLUGIN = """
@harness.style_statistic("mean_variance")
class MeanAndVariance:
    additive = True

    def statistics(self, maps):
        return torch.stack([maps.sum((1, 2)), maps.square().sum((1, 2))])

    def distance(self, own, target):
        (mean, square), (wanted, wanted_square) = own, target
        variance = square - mean**2 - (wanted_square - wanted**2)
        return (mean - wanted).square().mean() + variance.square().mean()


@harness.style_statistic("sliced")
class SlicedWasserstein:
    def statistics(self, maps):
        directions = torch.randn(8, len(maps), generator=torch.Generator().manual_seed(0)).to(maps)
        levels = torch.linspace(0, 1, 16).to(maps)
        return torch.quantile(directions @ maps.flatten(1), levels, dim=1)

    def distance(self, own, target):
        return (own - target).square().mean()


@harness.style_statistic("largest")
class Largest:
    batched = True

    def statistics(self, maps):
        return maps.amax((2, 3))

    def distance(self, own, target):
        return (own - target).square().sum(1)
"""
LAYERS = {"conv1_1": 0.3, "conv2_1": 0.7}


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path) -> Iterator[Plugin]:
    with loaded(tmp_path, PLUGIN) as plugin:
        yield plugin


def row_of(statistic: str, alpha: float = 0.0) -> RowObjective:
    return RowObjective(alpha, 2.0, {"conv2_1": 1.0}, LAYERS, "neural_style", statistic=statistic)


def make(*rows: RowObjective, tile_px: int | None = None) -> tuple[VGG, Objective, Tensor]:
    network = VGG(tiny_state(4, 3, 0)).double()
    content, style = photograph(48, 36, 1)[0].double(), photograph(40, 52, 3)[0].double()
    images = torch.cat([photograph(48, 36, 10 + i).double() for i in range(len(rows))])
    return network, Objective(rows, network, [content], [style], tile_px=tile_px), images


def test_mean_and_variance_is_by_loops() -> None:
    """Σ_l w_l D_l by loops over filters and positions; the convention's factor is Gram matrices' alone."""
    network, objective, images = make(row_of("mean_variance"))
    layers = list(LAYERS)
    own, wanted = network(images, layers), network(photograph(40, 52, 3).double(), layers)

    def moments(maps: Tensor) -> list[tuple[float, float]]:
        found = []
        for plane in maps[0].tolist():
            values = [value for line in plane for value in line]
            mean = sum(values) / len(values)
            found.append((mean, sum((value - mean) ** 2 for value in values) / len(values)))
        return found

    expected = 0.0
    for layer, weight in LAYERS.items():
        pairs = list(zip(moments(own[layer]), moments(wanted[layer]), strict=True))
        expected += weight * sum((m - n) ** 2 + (v - w) ** 2 for (m, v), (n, w) in pairs) / len(pairs)
    losses = objective(network, images, [0])
    assert float(losses.style) == pytest.approx(expected, rel=1e-9)
    assert float(losses.total) == pytest.approx(2 * expected, rel=1e-9)


def test_gram_by_its_name_has_the_bits_of_the_equations() -> None:
    network, objective, images = make(RowObjective(0.5, 2.0, {"conv2_1": 1.0}, LAYERS, "printed"))
    images.requires_grad_()
    maps, target = network(images, [*LAYERS]), network(photograph(40, 52, 3).double(), [*LAYERS])
    content = content_loss(maps["conv2_1"], network(photograph(48, 36, 1).double(), ["conv2_1"])["conv2_1"])
    total = 0.5 * content
    style = torch.zeros(1, dtype=torch.float64)
    for layer, weight in LAYERS.items():
        A = gram_per_position(target[layer])
        style = style + weight * style_layer_loss(gram_per_position(maps[layer]), A)
    total = total + 2.0 * style
    (gradient,) = torch.autograd.grad(total.sum(), images)
    found = evaluate(objective, network, images, [0])
    assert torch.equal(found.losses.total, total.detach())
    assert torch.equal(found.gradient, gradient)


def test_additive_statistics_in_tiles_are_those_of_the_whole() -> None:
    rows = [row_of("mean_variance", 0.1), row_of("gram")]
    network, whole, images = make(*rows)
    _, tiled, _ = make(*rows, tile_px=16)
    expected, found = (evaluate(objective, network, images, [0, 1]) for objective in (whole, tiled))
    torch.testing.assert_close(found.losses.total, expected.losses.total, rtol=1e-10, atol=0)
    torch.testing.assert_close(found.gradient, expected.gradient, rtol=0, atol=1e-10 * float(expected.gradient.max()))


def test_a_statistic_that_is_not_additive_goes_as_a_whole_and_shares_no_batch_with_tiles(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'sliced' is not additive"):
        make(row_of("sliced"), tile_px=16)
    network = VGG(tiny_state(width=64))
    tiles = {
        name: tile_px_of(network, Transfer(content="a", style="b", style_statistic=name), 1024, 1024)
        for name in ("gram", "mean_variance", "sliced")
    }
    assert tiles["gram"] == tiles["mean_variance"] and tiles["sliced"] is None
    path = tmp_path / "e.yaml"
    path.write_text(
        "transfer: {content: astronaut, style: strokes, size: 48}\n"
        f"axes: {{style_statistic: [gram, mean_variance, sliced]}}\n{naming(tmp_path, 'mine.py')}"
    )
    keys = [job.batch_key for job in make_jobs(load_experiment(path), tmp_path)]
    assert keys[0] == keys[1] != keys[2]


def test_statistics_beside_each_other_have_the_losses_and_gradients_of_the_rows_alone() -> None:
    names = ("mean_variance", "gram", "sliced", "largest", "mean_variance")
    rows = [row_of(name, 0.1 * k) for k, name in enumerate(names)]
    network, objective, images = make(*rows)
    together = evaluate(objective, network, images, range(len(rows)))
    for i in range(len(rows)):
        alone = evaluate(objective, network, images[i : i + 1], [i])
        torch.testing.assert_close(together.losses.total[i], alone.losses.total[0], rtol=1e-12, atol=0)
        torch.testing.assert_close(together.gradient[i], alone.gradient[0], rtol=1e-10, atol=1e-14)


def test_targets_are_stored_once_for_each_painting_and_statistic() -> None:
    _, objective, _ = make(row_of("gram"), row_of("mean_variance", 0.5), row_of("mean_variance"))
    assert {name for name, _ in objective.named_buffers()} == {
        "content_conv2_1_0", "style_conv1_1_0", "style_conv2_1_0", "style_conv1_1_0_mean_variance",
        "style_conv2_1_0_mean_variance",
    }  # fmt: skip


def test_rows_of_mixed_statistics_are_their_solo_runs(tmp_path: Path) -> None:
    varied = f"axes: {{style_statistic: [gram, mean_variance, sliced, largest]}}\n{naming(tmp_path, 'mine.py')}"
    (tmp_path / "solo").mkdir()
    together = make_rows(tmp_path, "transfer.steps=6", varied=varied)
    run_batch(together, Execution())
    for row, solo in zip(together, make_rows(tmp_path / "solo", "transfer.steps=6", varied=varied), strict=True):
        run_batch([solo], Execution())
        assert history_of(row.folder) == history_of(solo.folder)
        assert pictures_of(row.folder) == pictures_of(solo.folder)


def test_a_run_is_read_also_where_its_plugin_is_not(tmp_path: Path, plugin: Plugin) -> None:
    (row,) = make_rows(
        tmp_path, "transfer.style_statistic=sliced", "transfer.steps=1", varied=naming(tmp_path, "mine.py")
    )
    run_batch([row], Execution())
    registries._forget(plugin)
    assert RunFolder(row.folder).transfer().style_statistic == "sliced"


def ids_of(folder: Path, transfer: str = "") -> list[str]:
    path = folder / "ids.yaml"
    path.write_text(
        f"transfer: {{content: astronaut, style: strokes, size: 48, {transfer}}}\n"
        f"axes: {{style_statistic: [gram, mean_variance]}}\n{naming(folder, 'mine.py')}"
    )
    return [job.id for job in make_jobs(load_experiment(path), folder)]


def test_it_is_explained_without_the_conventions_factor(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(
        "transfer: {content: astronaut, style: strokes, size: 64, beta: 3, style_layers: {conv1_1: 0.5}, pyramid: [], "
        f"style_statistic: sliced, convention: printed}}\n{naming(tmp_path, 'mine.py')}"
    )
    explanation = harness.explain(path)
    assert "distance of sliced" in str(explanation)
    assert [term.printed for term in explanation.terms if term.side == "style"] == [1.5]
    assert {converted.beta["conv1_1"] for converted in explanation.converted.values()} == {3.0}


def test_an_id_holds_the_plugin_that_its_picture_depends_on(tmp_path: Path) -> None:
    gram, other = ids_of(tmp_path)
    with loaded(tmp_path, PLUGIN + "\n# a remark"):
        again = ids_of(tmp_path)
    assert again[0] == gram and again[1] != other


FAULTS = {
    "raises": (
        "def statistics(self, maps):\n        return maps.no_such",
        r"{file}:6: AttributeError: .*no_such.* \(in the style statistic 'faulty'\)",
    ),
    "no tensor": (
        "def statistics(self, maps):\n        return 3",
        r"{file}:5: statistics .* gave an object of type int for maps \(3, 40, 52\)",
    ),
    "not finite": (
        "def statistics(self, maps):\n        return maps.sum() / 0",
        r"{file}:5: statistics .* gave a scalar with values that are not finite .*; allowed: finite values",
    ),
    "no sum": (
        "additive = True\n    def statistics(self, maps):\n        return maps.mean((1, 2))",
        r"{file}:6: statistics .* additive, but for the two halves of a map",
    ),
    "no scalar": (
        "def statistics(self, maps):\n        return maps.mean((1, 2))\n    def distance(self, own, target):\n"
        "        return own - target",
        r"{file}:7: distance .* gave a tensor \(3,\); allowed: a scalar tensor",
    ),
    "infinite": (
        "def statistics(self, maps):\n        return maps.mean((1, 2))\n    def distance(self, own, target):\n"
        "        return (own - target).sum() / 0",
        r"{file}:7: distance .* gave \[-?inf\] for finite maps; allowed: finite values",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_has_the_plugins_own_line(tmp_path: Path, fault: str) -> None:
    body, message = FAULTS[fault]
    text = (
        f'@harness.style_statistic("faulty")\nclass Faulty:\n    {body}\n    distance = vars().get("distance", min)\n'
    )
    with loaded(tmp_path, text, "faulty.py") as plugin:
        with pytest.raises(PluginError, match=message.format(file=plugin.name)):
            network, objective, images = make(row_of("faulty"))
            objective(network, images, [0])


def test_a_run_fails_with_the_plugins_sentence_and_its_neighbours_go_on(tmp_path: Path) -> None:
    varied = f"axes: {{style_statistic: [gram, faulty, mean_variance]}}\n{naming(tmp_path, 'mine.py', 'faulty.py')}"
    text = (
        '@harness.style_statistic("faulty")\nclass Faulty:\n    def statistics(self, maps):\n        return 1 / 0\n'
        "    distance = min\n"
    )
    with loaded(tmp_path, text, "faulty.py") as plugin:
        rows = make_rows(tmp_path, "transfer.steps=3", varied=varied)
        run_batch(rows, Execution())
    found = [manifest_of(row.folder) for row in rows]
    assert [manifest["status"] for manifest in found] == ["done", "failed", "done"]
    assert (
        found[1]["reason"] == f"{plugin.name}:6: ZeroDivisionError: division by zero (in the style statistic 'faulty')"
    )


@pytest.mark.parametrize(
    ("transfer", "message"),
    [
        ("style: strokes, style_statistic: mean_varience", "transfer.style_statistic: got 'mean_varience'; allowed: "
         "one of gram, mean_variance, sliced, largest; did you mean mean_variance?"),
        ("style: strokes, style_statistic: zzz", "a style statistic of yours needs plugins: [FILE.py]"),
        ("style: strokes, style_statistic: 3", "got 3; allowed: the name of a style statistic"),
        ("style: {strokes: {mask: coffee_cup}}, style_statistic: sliced", "masks and regions are of Gram matrices"),
        ("style: strokes, segmentation: {content: a.png, style: b.png}, style_statistic: sliced",
         "masks and regions are of Gram matrices, sliced knows none; drop one of them"),
    ],
)  # fmt: skip
def test_what_a_transfer_cannot_say(tmp_path: Path, transfer: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(f"transfer: {{content: astronaut, {transfer}}}\n{naming(tmp_path, 'mine.py')}")
    with pytest.raises(ConfigError) as error:
        load_experiment(path)
    assert message in str(error.value) and f"{path}:1:" in str(error.value)


def test_a_statistic_may_be_an_object_and_only_one_of_a_plugin_is_checked() -> None:
    gram = StyleStatistic("gram")
    features = photograph(8, 6).double()
    assert gram.is_additive and torch.equal(gram.measure(features, 48), gram_per_position(features))
