"""Networks by name: a user's own and torchvision's by nodes; shapes by a pass, sizes, ids, faults."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from engine_rows import history_of, manifest_of, pictures_of
from plugin_files import loaded, naming
from tiny_vgg import photograph

import harness
from harness.config import load_experiment
from harness.driver.capacity import tiles_told
from harness.driver.jobs import Job, make_jobs
from harness.driver.needs import pass_bytes, tile_of
from harness.errors import ConfigError, PluginError
from harness.features.networks import plugin_network
from harness.objective.equations import content_loss, gram_per_position, style_layer_loss
from harness.objective.rows import Objective, RowObjective
from harness.registries import Plugin
from harness.runs.batch import Execution, run_batch
from harness.runs.store import Status

PLUGIN = """
import torchvision

@harness.network("resnet")
def resnet():
    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None)
    return harness.node_network(model, {"first": "bn1", "early": "layer1", "late": "layer3"})


class Squares:
    layers = ("coarse", "fine")
    factor = 4

    def forward(self, images, layers):
        maps = {"fine": images.square(), "coarse": torch.nn.functional.avg_pool2d(images, self.factor).square()}
        return {layer: maps[layer] for layer in layers}


class Deep(Squares):
    factor = 48


harness.network("squares")(Squares)
harness.network("deep")(Deep)
"""
TRANSFER = (
    "content: astronaut, style: strokes, size: 64, steps: 3, pyramid: [], weights: {network: resnet}, "
    "content_layers: {late: 1}, style_layers: {first: 0.5, early: 0.5}"
)


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path) -> Iterator[Plugin]:
    with loaded(tmp_path, PLUGIN) as plugin:
        yield plugin


def jobs_of(folder: Path, *words: str, transfer: str = TRANSFER, rest: str = "") -> list[Job]:
    folder.mkdir(exist_ok=True)
    path = folder / "net.yaml"
    path.write_text(
        f"transfer: {{{transfer}}}\n{rest}\n{naming(folder, '../mine.py' if folder.name in ('a', 'b') else 'mine.py')}"
    )
    return make_jobs(load_experiment(path, words), folder / "runs")


def test_a_resnet_by_its_nodes_is_its_own_forward_pass() -> None:
    import torchvision

    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None).eval()
    images = photograph(64, 48, rows=2)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    bn1 = model.bn1(model.conv1((images - mean[:, None, None]) / std[:, None, None]))
    expected = {"first": bn1.clone(), "early": model.layer1(model.maxpool(model.relu(bn1)))}
    found = plugin_network("resnet")(images, ["early", "first"])
    assert list(found) == ["first", "early"]
    for layer, features in expected.items():
        torch.testing.assert_close(found[layer], features, rtol=1e-4, atol=1e-5)
    assert plugin_network("resnet").shapes(["late"], 64, 48) == {"late": (256, 4, 3)}


def test_the_objective_on_any_network_is_that_of_its_maps() -> None:
    network = plugin_network("squares")
    content, style, image = photograph(8, 12, 1), photograph(12, 8, 2), photograph(8, 12, 3)
    row = RowObjective(0.5, 2.0, {"coarse": 1.0}, {"coarse": 0.3, "fine": 0.7}, "printed")
    losses = Objective([row], network, content, style)(network, image, [0])
    maps, of_style = network(image, ["coarse", "fine"]), network(style, ["coarse", "fine"])
    total = 0.5 * content_loss(maps["coarse"], network(content, ["coarse"])["coarse"])
    for layer, weight in row.style_layers.items():
        A = gram_per_position(of_style[layer])
        total = total + 2 * weight * style_layer_loss(gram_per_position(maps[layer]), A)
    assert float(losses.total) == pytest.approx(float(total), rel=1e-5)


def test_rows_on_a_resnet_draw_pictures_and_are_their_solo_runs(tmp_path: Path) -> None:
    rest = "axes: {alpha: [1e-3, 1e-1], style_layers: [{early: 1}, {first: 1, late: 0.5}]}"
    together, alone = jobs_of(tmp_path / "a", rest=rest), jobs_of(tmp_path / "b", rest=rest)
    run_batch([job.row for job in together], Execution())
    for one, solo in zip(together, alone, strict=True):
        run_batch([solo.row], Execution())
        assert one.batch_key == solo.batch_key
        assert history_of(one.row.folder) == history_of(solo.row.folder)
        assert pictures_of(one.row.folder) == pictures_of(solo.row.folder)
        manifest = manifest_of(one.row.folder)
        assert manifest["status"] == "done" and math.isfinite(manifest["metrics"]["reference_style"])


def test_pictures_go_as_a_whole_and_their_memory_grows_with_the_area(tmp_path: Path) -> None:
    small, large = (jobs_of(tmp_path, f"transfer.size={size}")[0] for size in (512, 2048))
    assert tile_of(large) is None and tile_of(small) is None
    assert pass_bytes(large) == pytest.approx(16 * pass_bytes(small), rel=0.01)
    assert pass_bytes(small) > 64 * 256 * 256 * 4  # at least the first map and its neighbours
    assert tiles_told(small) == "" and "does not go in tiles: tiles are for a VGG, and resnet is a" in tiles_told(large)


@pytest.mark.parametrize(("name", "sizes"), [("squares", [80, 160]), ("deep", [160])])
def test_pyramid_has_the_sizes_at_which_the_deepest_map_has_two_by_two_positions(
    tmp_path: Path, name: str, sizes: list[int]
) -> None:
    transfer = TRANSFER.replace("resnet", name).replace("first: 0.5, early: 0.5", "fine: 1").replace("late", "coarse")
    (job,) = jobs_of(tmp_path, "transfer.pyramid=auto", "transfer.size=320", transfer=transfer)
    pyramid = job.row.transfer.pyramid
    assert not isinstance(pyramid, str) and [level.size for level in pyramid] == sizes


def test_it_is_explained_with_its_own_shapes(tmp_path: Path) -> None:
    jobs_of(tmp_path)
    explanation = harness.explain(tmp_path / "net.yaml")
    assert "network: resnet (first, early, late), a plugin's, its maps as they are" in str(explanation)
    assert {(term.layer, term.num_filters, term.num_positions) for term in explanation.terms} == {
        ("first", 64, 32 * 32), ("early", 64, 16 * 16), ("late", 256, 4 * 4)
    }  # fmt: skip


def test_an_id_holds_plugin_and_parameters_and_not_what_a_vgg_alone_has(tmp_path: Path) -> None:
    (job,) = jobs_of(tmp_path)
    ids = {jobs_of(tmp_path, word)[0].id for word in ("transfer.pooling=max", "transfer.normalised=false")}
    assert ids == {job.id}
    with loaded(tmp_path, PLUGIN + "# a remark"):
        assert jobs_of(tmp_path)[0].id != job.id
    with loaded(tmp_path, PLUGIN.replace("manual_seed(0)", "manual_seed(1)")):
        other = plugin_network("resnet").sha256
    with loaded(tmp_path, PLUGIN):
        assert plugin_network("resnet") is plugin_network("resnet") and other != plugin_network("resnet").sha256


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["transfer.weights={network: resent}"], "transfer.weights.network: got 'resent'; allowed: one of resnet, "
         "squares, deep; did you mean resnet?"),
        (["transfer.content_layers={layer3: 1}"], "transfer.content_layers: layer3 is no layer of the network "
         "'resnet'; there are first, early, late"),
        (["transfer.weights=embedded"], "there is no VGG-19 layer 'late'; "),
        (["transfer.size=16"], "late's map is then 1×1 and needs at least 2×2 positions; ask for a larger size"),
        (["transfer.pyramid=[{size: 16, steps: 1}]"], "a level of 16 px makes this photograph 16×16 px, but late's"),
        (["transfer.style={strokes: {mask: coffee_cup}}"], "masks and regions are brought to the maps of a VGG"),
        (["transfer.weights={network: resnet, file: a.pth}"], "{network: …}, {file: …, input: …} or {url: …"),
    ],
)  # fmt: skip
def test_what_a_transfer_cannot_say(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        jobs_of(tmp_path, *words)
    assert message in str(error.value)


def test_a_layer_may_be_an_axis_and_a_typo_of_a_vggs_is_found_still(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, rest="axes: {style_layers.first: [0.1, 0.2]}")
    assert [job.row.transfer.style_layers["first"] for job in jobs] == [0.1, 0.2]
    with pytest.raises(ConfigError, match=r"net.yaml:2: .*conv1_9.*: there is no VGG-19 layer 'conv1_9'"):
        jobs_of(tmp_path, transfer="content: astronaut, style: strokes", rest="axes: {style_layers.conv1_9: [1, 2]}")


FAULTS = {
    "no network": ("return 3", r"{file}:3: the network 'faulty' is of type int, without layers and forward"),
    "raises": ("return 1 / 0", r"{file}:5: ZeroDivisionError: division by zero \(in the network 'faulty'\)"),
    "names": ("return Made(lambda images: images, 'a.b')", "has the layers a.b; allowed: one or more different names"),
    "shape": ("return Made(lambda images: images.mean((2, 3)))", r"gave \(1, 3\) for one; allowed: .* \(1, N, h, w\)"),
    "infinite": ("return Made(lambda images: images / 0)", "gave values of one that are not finite for a grey image"),
    "detached": ("return Made(lambda images: images.detach())", "gave one without a gradient"),
    "layers": ("return Made(lambda images: images, 'one', 'two')", "gave two for the layers one; allowed: a mapping"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_has_the_plugins_own_line(tmp_path: Path, fault: str) -> None:
    body, message = FAULTS[fault]
    text = f"""@harness.network("faulty")
def faulty():
    {body}


class Made:
    def __init__(self, forward, layer="one", given=None):
        self.layers, self.made, self.given = (layer,), forward, given or layer

    def forward(self, images, layers):
        return {{self.given: self.made(images)}}
"""
    with loaded(tmp_path, text, "faulty.py") as plugin:
        with pytest.raises(PluginError, match=message.format(file=plugin.name)):
            network = plugin_network("faulty")
            network.shapes(["one"], 8, 8)
            network(torch.rand(1, 3, 8, 8, requires_grad=True), ["one"])


def test_a_network_of_other_weights_each_time_is_refused(tmp_path: Path) -> None:
    """Its picture would not be that of the run's id."""
    text = '@harness.network("random")\ndef random():\n    return harness.node_network(\n        torch.nn.Sequential('
    text += "torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()), {'first': '1'})\n"
    with loaded(tmp_path, text, "random.py"):
        spec = {
            "plugins": [str(tmp_path / "random.py")],
            "transfer": {
                "content": "astronaut", "style": "strokes", "size": 32, "steps": 2, "pyramid": [],
                "weights": {"network": "random"}, "content_layers": {"first": 1}, "style_layers": {"first": 1},
            },
        }  # fmt: skip
        results = harness.run(spec, name="random", out=tmp_path, devices="cpu:1", wandb="off", progress=False)
    assert results.runs[0].status is Status.FAILED
    assert "has other weights each time it is made" in results.runs[0].reason


def test_importing_the_harness_imports_no_torch() -> None:
    code = "import sys, harness; harness.node_network; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert harness.node_network.__doc__
