"""Every kind of bad configuration: which line, what was there, what is allowed, the likely intention."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.config import load_experiment
from harness.errors import ConfigError

GOOD = """\
transfer:
  content: astronaut
  style: strokes
  alpha: 1e-3
axes:
  alpha: [1e-4, 1e-2]
figure: {columns: alpha}
"""


def faults_of(tmp_path, text, *words, profile=None, name="a.yaml"):
    """The faults of a file; its path is written FILE in what is returned."""
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as caught:
        load_experiment(path, words, profile)
    assert caught.value.exit_code == 2
    assert len(set(caught.value.faults)) == len(caught.value.faults)
    return [str(fault).replace(str(path), "FILE") for fault in caught.value.faults]


def base(lines):
    """The good file with further lines in ``transfer``, which begin on line 5."""
    return GOOD.replace("  alpha: 1e-3\n", f"  alpha: 1e-3\n{lines}\n")


def test_good_file_is_good(tmp_path):
    (tmp_path / "a.yaml").write_text(GOOD)
    assert len(load_experiment(tmp_path / "a.yaml").cells) == 2


TRANSFER_FAULTS = {
    "typo": ("  stile: x", "FILE:5: transfer.stile: there is no field 'stile'; did you mean style?"),
    "unlike anything": ("  zzz: x", "FILE:5: transfer.zzz: there is no field 'zzz'; allowed: method, content, "),
    "number in quotes": ('  beta: "1e-3"', "got '1e-3'; allowed: a finite number ≥ 0; write it without quotes"),
    "truth as number": ("  beta: true", "FILE:5: transfer.beta: got true; allowed: a finite number ≥ 0"),
    "negative": ("  beta: -1", "FILE:5: transfer.beta: got -1; allowed: a finite number ≥ 0"),
    "infinite": ("  beta: .inf", "FILE:5: transfer.beta: got .inf; allowed: a finite number ≥ 0"),
    "not a number": ("  beta: .nan", "FILE:5: transfer.beta: got .nan; allowed: a finite number ≥ 0"),
    "overflowing": ("  beta: 1e999", "FILE:5: transfer.beta: got .inf; allowed: a finite number ≥ 0"),
    "nothing": ("  beta:", "FILE:5: transfer.beta: got nothing; allowed: a finite number ≥ 0"),
    "fraction": ("  steps: 300.0", "got 300.0; allowed: an integer ≥ 1; write 300"),
    "zero steps": ("  steps: 0", "FILE:5: transfer.steps: got 0; allowed: an integer ≥ 1"),
    "too small": ("  size: 8", "FILE:5: transfer.size: got 8; allowed: an integer ≥ 16 and ≤ 8192, or original"),
    "too large": ("  size: 8193", "FILE:5: transfer.size: got 8193; allowed: an integer ≥ 16 and ≤ 8192, or original"),
    "seed": (f"  seed: {2**63}", "allowed: an integer ≥ 0 and < 9223372036854775808"),
    "scale": ("  style_scale: 0", "FILE:5: transfer.style_scale: got 0; allowed: a finite number > 0 and ≤ 16"),
    "yes": ("  normalised: yes", "got 'yes'; allowed: true or false; did you mean true?"),
    "choice": ("  pooling: avrage", "got 'avrage'; allowed: one of average, max; did you mean average?"),
    "convention": ("  convention: release", "did you mean released?"),
    "method": ("  method: quiltin", "got 'quiltin'; allowed: one of gatys, quilting; did you mean quilting?"),
    "quilting": ("  quilting: 3", "got 3; allowed: {task: …, block: …, overlap: …"),
    "block": ("  quilting: {block: 3}", "transfer.quilting.block: got 3; allowed: an integer ≥ 4 and ≤ 512"),
    "task": ("  quilting: {task: transfr}", "allowed: one of transfer, synthesis; did you mean transfer?"),
    "colours": ("  colours: lumnance", "allowed: one of style, luminance, recoloured; did you mean luminance?"),
    "smoothing": ("  smoothing: 1", "transfer.smoothing: got 1; allowed: a finite number ≥ 0 and ≤ 0.9999"),
    "variation": ("  total_variation: -1", "FILE:5: transfer.total_variation: got -1; allowed: a finite number ≥ 0"),
    "λ alone": ("  photorealism: 1e4", "transfer.photorealism: got 10000.0; allowed: {weight: …, first_stage: …}"),
    "λ misspelt": ("  photorealism: {weigth: 1}", "there is no field 'weigth'; did you mean weight?"),
    "first stage": (
        "  steps: 9\n  photorealism: {first_stage: 9}",
        "FILE:6: transfer.photorealism: first_stage is 9 of 9",
    ),
    "colours twice": (
        "  colours: luminance\n  photorealism: {weight: 1}",
        "transfer.colours: photorealism compares colours with",
    ),
    "level": (
        "  pyramid: 256",
        "got 256; allowed: auto, or a list of smaller sizes before, such as [{size: 256, steps: 200}]",
    ),
    "level's field": (
        "  pyramid:\n    - {size: 64}",
        "FILE:6: transfer.pyramid.0.steps: is missing; give an integer ≥ 1",
    ),
    "sizes fall": (
        "  pyramid: [{size: 600, steps: 9}]",
        "FILE:5: transfer.pyramid: the sizes 600, 512 (the last one is size) must",
    ),
    "regions": ("  segmentation: a.png", "transfer.segmentation: got 'a.png'; allowed: {content: …, style: …}"),
    "regions of one": ("  segmentation: {content: a}", "transfer.segmentation.style: is missing; give an image"),
    "other project's layer": ("  style_layers: {relu4_2: 1}", "no VGG-19 layer 'relu4_2'; did you mean conv4_2?"),
    "keras's layer": ("  style_layers: {block4_conv2: 1}", "did you mean conv4_2?"),
    "short layer": ("  style_layers: {conv42: 1}", "FILE:5: transfer.style_layers.conv42: there is no VGG-19 layer"),
    "no such layer": ("  style_layers: {pool: 1}", "there is no VGG-19 layer 'pool'; allowed: conv1_1, conv1_2, "),
    "layer list": ("  style_layers: [conv4_2]", "such as {conv4_2: 1}; did you mean {conv4_2: 1}?"),
    "layer weight": (
        "  style_layers:\n    conv1_1: -1",
        "FILE:6: transfer.style_layers.conv1_1: got -1; allowed: a finite",
    ),
    "empty side": ("  style_layers: {}", "FILE:5: transfer.style_layers: style_layers is empty while beta is 1.0"),
    "zero side": ("  content_layers: {conv4_2: 0}", "content_layers has only weights 0 while alpha is 0.001"),
    "weights name": ("  weights: embeded", "{url: …, sha256: …, input: …}; did you mean embedded?"),
    "weights path": ("  weights: vgg.pth", "did you mean {file: vgg.pth}?"),
    "weights address": ("  weights: https://a.b/c", "did you mean {url: https://a.b/c, sha256: …}?"),
    "both weights": ("  weights: {file: a, url: b}", "give either file or url, not both"),
    "no hash": ("  weights: {url: 'https://a.b/c'}", "transfer.weights.sha256: is missing; give 8 to 64 hexadecimal"),
    "short hash": ("  weights: {url: 'https://a.b/c', sha256: abc}", "got 'abc'; allowed: 8 to 64 hexadecimal digits"),
    "numeric hash": ("  weights: {url: 'https://a.b/c', sha256: 12345678}", "got 12345678; allowed: 8 to 64"),
    "scheme": ("  weights: {url: 'ftp://a.b/c', sha256: abcdef01}", "allowed: an http:// or https:// address"),
    "weights field": ("  weights: {file: a, inptu: caffe}", "there is no field 'inptu'; did you mean input?"),
    "start path": (
        "  start: photo.jpg",
        "allowed: content, style, noise, or {file: …}; did you mean {file: photo.jpg}?",
    ),
    "start number": ("  start: 3", "FILE:5: transfer.start: got 3; allowed: content, style, noise, or {file: …}"),
    "algorithm": ("  optimiser: adm", "or {name: adam, …}; did you mean adam?"),
    "algorithm's field": (
        "  optimiser: {name: adam, history: 5}",
        "there is no field 'history'; allowed: name, learning",
    ),
    "history": (
        "  optimiser: {history: 500}",
        "transfer.optimiser.history: got 500; allowed: an integer ≥ 1 and ≤ 200",
    ),
    "image number": ("  method: gatys\n  start: {file: 3}", "got 3; allowed: the path of a file; put it in quotes"),
}


STYLE_FAULTS = {
    "list": ("[strokes, mosaic]", "{strokes: 0.75, mosaic: 0.25}; did you mean {strokes: 1, mosaic: 1}?"),
    "number": ("3", "FILE:3: transfer.style: got 3; allowed: an image, or several with weights such as {strokes: 0.75"),
    "none": ("{}", "FILE:3: transfer.style: got {}; allowed: an image, or several"),
    "no name": ("{'': 1}", "got '' as a name; allowed: a non-empty text"),
    "negative": ("{strokes: -1}", "FILE:3: transfer.style.strokes.weight: got -1; allowed: a finite number ≥ 0"),
    "quoted": ("{strokes: '0.5'}", "transfer.style.strokes: got '0.5'; allowed: a weight ≥ 0, or {weight: …, scale: …"),
    "quotes": ("{strokes: '0.5'}", "; write it without quotes"),
    "word": ("{strokes: x}", "FILE:3: transfer.style.strokes: got 'x'; allowed: a weight ≥ 0, or {weight: …"),
    "field": ("{strokes: {wieght: 1}}", "transfer.style.strokes.wieght: there is no field 'wieght'; did you mean wei"),
    "mask": ("{strokes: {mask: 3}}", "transfer.style.strokes.mask: got 3; allowed: an image: its path or its name"),
    "scale": ("\n    strokes: {scale: 0}\n    mosaic: 1", "FILE:4: transfer.style.strokes.scale: got 0; allowed: a f"),
    "no weight": ("{strokes: 0, mosaic: 0}", "FILE:3: transfer.style: every painting has weight 0; give one a w"),
    "two segmented": (
        "{strokes: 1, mosaic: 1}\n  segmentation: {content: a, style: b}", "FILE:4: transfer.segmentation: a segmentat"
    ),
    "two quilted": ("{strokes: 1, mosaic: 1}\n  method: quilting\naxes: {seed: [0, 1]}\nfigure:", "one whole painting"),
}  # fmt: skip


@pytest.mark.parametrize("style, sentence", STYLE_FAULTS.values(), ids=STYLE_FAULTS)
def test_fault_in_a_style_is_one_sentence(tmp_path, style, sentence):
    text = GOOD.replace("strokes", style)
    faults = faults_of(tmp_path, text.partition("figure:")[0] if "figure:" in style else text)
    assert len(faults) == 1
    assert sentence in faults[0]


def test_image_of_any_field_that_is_not_there_is_named_at_its_line(tmp_path):
    text = """\
transfer:
  content: astronaut
  style: {stroeks: 1, mosaic: {mask: cup}}
  segmentation: {content: regions.png, style: strokes}
  size: x
axes:
  style.ink.mask: [strokes, tabel]
cases:
  A: {style.ink: {own_mask: here}}
"""
    path = tmp_path / "a.yaml"
    path.write_text(text)
    known = ("astronaut", "mosaic", "strokes", "ink")
    with pytest.raises(ConfigError) as caught:
        load_experiment(path, fault_of_image=lambda name: None if name in known else f"no {name}")
    found = [(fault.where.rpartition(":")[2], fault.field, fault.message) for fault in caught.value.faults]
    assert [one for one in found if one[2].startswith("no ")] == [
        ("3", "transfer.style.stroeks", "no stroeks"),
        ("3", "transfer.style.mosaic.mask", "no cup"),
        ("4", "transfer.segmentation.content", "no regions.png"),
        ("7", "axes.style.ink.mask", "no tabel"),
        ("9", "cases.A.style.ink.own_mask", "no here"),
    ]


UNUSED = [
    "alpha: 0\n  beta: 0",
    "style_layers: {}",
    "pyramid: [{size: 600, steps: 9}]",
    "photorealism: {first_stage: 999}",
]


@pytest.mark.parametrize("lines", UNUSED)
def test_what_quilting_does_not_use_is_no_fault_of_its(tmp_path, lines):
    text = f"transfer:\n  content: astronaut\n  style: strokes\n  method: METHOD\n  {lines}\n"
    (tmp_path / "a.yaml").write_text(text.replace("METHOD", "quilting"))
    assert len(load_experiment(tmp_path / "a.yaml").cells) == 1
    assert faults_of(tmp_path, text.replace("METHOD", "gatys"))


@pytest.mark.parametrize("lines, sentence", TRANSFER_FAULTS.values(), ids=TRANSFER_FAULTS)
def test_fault_in_transfer_is_one_sentence(tmp_path, lines, sentence):
    faults = faults_of(tmp_path, base(lines))
    assert len(faults) == 1
    assert sentence in faults[0]
    assert faults[0].startswith("FILE:")


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("", "FILE: is empty"),
        ("# nothing\n", "FILE: is empty"),
        ("- a\n", "FILE:1: a mapping that begins with transfer: is expected"),
        ("just words\n", "FILE:1: a mapping that begins with transfer: is expected"),
        ("transfer:\n\tcontent: a\n", "FILE:2: a tab stands at column 1; YAML is indented by spaces"),
        ("transfer: {content: a\nb: c", "FILE:2: not readable as YAML: "),
        ("transfer: {}\n---\na: 1\n", "FILE:2: a second document begins here"),
        (b"transfer:\n  content: \xff\n", "FILE:2: byte 0xff is not UTF-8"),
        (b"\x89PNG\r\n\x1a\n", "FILE:1: byte 0x89 is not UTF-8"),
        (b"a: b\nc: \x07\n", "FILE:2: the character U+0007 is not allowed in YAML"),
        ("[" * 5000, "nested too deeply"),
        ("x: " + "y" * 1_000_001, "has more than 1000000 bytes"),
        (GOOD + "transfer: {}\n", "FILE:8: transfer: stands twice, first on line 1"),
        (base("  alpha: 1"), "FILE:5: transfer.alpha: stands twice, first on line 4"),
        (
            base("  size: !!python/object:os.system 3"),
            "FILE:5: transfer.size: the tag !!python/object:os.system is not",
        ),
        (base("  size: !mine 3"), "FILE:5: transfer.size: the tag !mine is not allowed"),
        (base("  size: !!int abc"), "FILE:5: transfer.size: 'abc' cannot be read as the int"),
        (base("  size: 0x" + "f" * 5000), "has 5002 digits"),
        (base("  size: " + "9" * 5000), "FILE:5: transfer.size: 99999999999999999999… has 5000 digits"),
        (base("  ? [a]\n  : 1"), "FILE:5: transfer: a key must be a word"),
        (base("  style_layers: &s {conv1_1: *s}"), "an anchor that contains itself"),
        ("axes: {}\n", "FILE:1: transfer: is missing; give transfer: {content: …, style: …}"),
        ("transfer: 3\n", "FILE:1: transfer: got 3; allowed: transfer: {content: …, style: …}"),
        ("transfer:\n  style: s\n", "FILE:1: transfer.content: is missing; give an image: its path or its name"),
        (GOOD.replace("astronaut", "[a, b]"), "FILE:2: transfer.content: got [a, b]; allowed: an image"),
        (GOOD.replace("astronaut", "''"), "FILE:2: transfer.content: got ''; allowed: an image"),
        (GOOD + "figur: {}\n", "FILE:8: figur: there is no field 'figur'; did you mean figure?"),
        (GOOD.replace("[1e-4, 1e-2]", "1e-2"), "FILE:6: axes.alpha: got 0.01; allowed: a list of one value or more"),
        (GOOD.replace("[1e-4, 1e-2]", "[]"), "FILE:6: axes.alpha: got []; allowed: a list of one value or more"),
        (GOOD.replace("[1e-4, 1e-2]", "\n  - 1e-4\n  - 1e-2\n  - -1"), "FILE:9: axes.alpha: got -1; allowed"),
        (
            GOOD.replace("[1e-4, 1e-2]", "\n  - 1\n  - 2\n  - 1.0"),
            "FILE:9: axes.alpha: 1.0 is the same as 1, which stands",
        ),
        (
            GOOD.replace("axes:\n", "axes:\n  aplha: [1]\n"),
            "FILE:6: axes.aplha: there is no field 'aplha'; did you mean alpha?",
        ),
        (GOOD.replace("  alpha: [", "  transfer.alpha: ["), "write alpha"),
        (GOOD.replace("axes:\n", "axes:\n  style.a.jpg: [1]\n"), "is named in the whole mapping: style={a.jpg: …}"),
        (GOOD.replace("axes:\n", "axes:\n  style.ink.sclae: [1]\n"), "field of a painting 'sclae'; did you mean scale"),
        (GOOD.replace("axes:\n", "axes:\n  pyramid.size: [1]\n"), "pyramid has no field 'size'; write pyramid alone"),
        (
            GOOD.replace("axes:\n", "axes:\n  style: [strokes, {strokes: 1}]\n"),
            "FILE:6: axes.style: {strokes: 1} is the same as 'strokes', which stands before it; keep one",
        ),
        (
            GOOD + "cases:\n  G: {method: gatys}\n  Q: {method: quilting}\n",
            "FILE:6: axes.alpha: quilting does not use alpha, so that (cases=Q, alpha=0.01) and (cases=Q, alpha=0.00",
        ),
        (GOOD.replace("axes:\n", "axes:\n  seed.x: [1]\n"), "FILE:6: axes.seed.x: seed has no field 'x'"),
        (GOOD.replace("axes:\n", "axes:\n  style_layers.conv9: [1]\n"), "there is no VGG-19 layer 'conv9'"),
        (GOOD.replace("axes:\n", "axes:\n  beta: [0, 1]\n").replace("1e-4,", "0,"), "alpha and beta are both 0"),
        (
            GOOD.replace("axes:\n", "axes:\n  optimiser: [adam]\n  optimiser.history: [3, 4]\n"),
            "FILE:7: axes.optimiser.history: optimiser.history and optimiser vary the same field",
        ),
        (GOOD.replace("axes:\n", f"axes:\n  seed: {list(range(5001))}\n"), "these are 10002 cells; at most 10000"),
        (GOOD + "cases: {A: {alpha: 1}}\n", "FILE:8: cases.A.alpha: alpha is an axis too"),
        (
            GOOD + "cases:\n  A: {seed: 1}\n  B: {sede: 2}\n",
            "FILE:10: cases.B.sede: there is no field 'sede'; did you mean seed?",
        ),
        (GOOD + "cases:\n  A: {seed: 1}\n  B: {seed: x}\n", "FILE:10: cases.B.seed: got 'x'; allowed: an integer"),
        (GOOD + "cases:\n  A: {seed: 1}\n  B: {seed: 1}\n", "FILE:10: cases.B: case B is the same as case A"),
        (GOOD + "cases: [A, B]\n", "FILE:8: cases: got [A, B]; allowed: a mapping of labels to fields"),
        (GOOD + "cases: {A: 3}\n", "FILE:8: cases.A: got 3; allowed: a mapping of fields to values"),
        (
            GOOD.replace("columns: alpha", "columns: alpah"),
            "FILE:7: figure.columns: nothing varies 'alpah'; did you mean alpha?",
        ),
        (
            GOOD.replace("columns: alpha", "columns: alpha, rows: alpha"),
            "FILE:7: figure.rows: alpha is along the columns",
        ),
        (GOOD.replace("columns: alpha", "show: [contnet]"), "got 'contnet'; allowed: a list of content, style and"),
        (GOOD + "tracking: {project: a/b}\n", "FILE:8: tracking.project: got 'a/b'; allowed: 1 to 128 characters"),
        (GOOD + "tracking: {tags: a}\n", "FILE:8: tracking.tags: got 'a'; allowed: a list of words"),
        (GOOD + "profiles: {p: 3}\n", "FILE:8: profiles.p: got 3; allowed: a partial experiment"),
        (
            GOOD + "profiles:\n  p:\n    transfer:\n      siez: 3\n",
            "FILE:11: transfer.siez: there is no field 'siez'; did you",
        ),
        (
            GOOD + "profiles:\n  p:\n    transfr: {}\n",
            "FILE:10: transfr: there is no field 'transfr'; did you mean transfer?",
        ),
    ],
)  # fmt: skip
def test_fault_in_file_is_one_sentence(tmp_path, text, sentence):
    faults = faults_of(tmp_path, text)
    assert len(faults) == 1
    assert sentence in faults[0]


@pytest.mark.parametrize("key", ["objectives", "sampler", "pruner", "budget"])
def test_sweep_file_names_the_command(tmp_path, key):
    [fault] = faults_of(tmp_path, f"{GOOD}{key}: {{a: 1}}\n")
    assert fault == f"FILE:8: this is a sweep file (it has {key}); start it with: harness sweep FILE"


def test_sweep_file_names_the_fields_to_pin(tmp_path):
    text = GOOD.replace("axes:\n  alpha: [1e-4, 1e-2]\nfigure: {columns: alpha}\n", "") + (
        "objectives: [pixel_distance]\nspace: {alpha: {log: [1e-5, 1]}, optimiser.history: {integer: [1, 9]}}\n"
    )
    faults = faults_of(tmp_path, text, "transfer.alpha=3", "transfer.sede=1")
    assert faults == [
        "FILE:6: this is a sweep file (it has space, objectives); start it with: "
        "harness sweep FILE transfer.alpha=3 transfer.sede=1; or pin what it searches: transfer.optimiser.history=…",
        "override 'transfer.sede=1': transfer.sede: there is no field 'sede'; did you mean seed?",
    ]


@pytest.mark.parametrize(
    "word, sentence",
    [
        ("transfer.alpa=3", "override 'transfer.alpa=3': transfer.alpa: there is no field 'alpa'; did you mean alpha?"),
        ("alpha=1", "override 'alpha=1': fields of the transfer begin with transfer.; did you mean transfer.alpha=1?"),
        ("alpa=1", "did you mean transfer.alpha=1?"),
        ("optimiser.history=3", "did you mean transfer.optimiser.history=3?"),
        ("trasnfer.alpha=1", "there is no section 'trasnfer'; did you mean transfer?"),
        ("width=column", "fields of the figure begin with figure.; did you mean figure.width=column?"),
        ("profiles.a=1", "profiles are chosen by --profile NAME"),
        ("transfer.alpha", "is not of the form key=value, such as transfer.alpha=1e-2"),
        ("=3", "is not of the form key=value"),
        ("transfer.alpha=", "override 'transfer.alpha=': transfer.alpha: got nothing; allowed: a finite number ≥ 0"),
        ("transfer.size=big", "transfer.size: got 'big'; allowed: an integer ≥ 16 and ≤ 8192, or original"),
        ("transfer.style_layers={conv1_1: 1", "transfer.style_layers: not readable as YAML"),
        ("transfer.style_layers={conv1_1: 1, conv1_1: 2}", "stands twice"),
        ("transfer.style_layers.conv9=1", "there is no VGG-19 layer 'conv9'"),
        ("transfer.optimiser.histroy=1", "there is no field of optimiser 'histroy'; did you mean history?"),
        ("transfer.alpha.x=1", "alpha has no field 'x'"),
        ("transfer.style.strokes=x", "transfer.style.strokes.weight: got 'x'; allowed: a finite number ≥ 0"),
        ("transfer.style.a.jpg=1", "is named in the whole mapping: style={a.jpg: …}"),
        ("transfer=3", "transfer: got 3; allowed"),
        ("axes.alpha=1", "axes.alpha: got 1; allowed: a list"),
        ("axes.alpha=[1, -1]", "override 'axes.alpha=[1, -1]': axes.alpha: got -1; allowed: a finite number ≥ 0"),
        ("axes.beta=", "there is no axis 'beta'; allowed: alpha"),
        ("axes.apha=", "there is no axis 'apha'; did you mean alpha?"),
        ("cases.A.seed=3", "there is no case 'A'"),
        ("figure.colums=alpha", "there is no field 'colums'; did you mean columns?"),
        ("repeat.0.seeds=[1]", "repeat is a list; give it as a whole: repeat=[…]"),
        ("repeat=[{seeds: [-1]}]", "repeat.0.seeds: got -1; allowed: a list of integers ≥ 0, such as [1, 2]"),
        ("repeat=[{where: {alpha: 3}}]", "repeat.0.where.alpha: no cell has alpha 3; allowed: 0.0001, 0.01"),
        ("budget.trials=3", "budget is a section of sweeps; allowed here: transfer, figure"),
    ],
)
def test_fault_in_override_is_one_sentence(tmp_path, word, sentence):
    [fault] = faults_of(tmp_path, GOOD, word)
    assert sentence in fault
    assert fault.startswith(f"override {word!r}: ")


def test_setting_part_of_a_varied_field_is_refused(tmp_path):
    text = GOOD.replace("axes:\n", "axes:\n  optimiser: [lbfgs, adam]\n")
    [fault] = faults_of(tmp_path, text, "transfer.optimiser.learning_rate=0.5")
    assert "optimiser varies as a whole; give transfer.optimiser=… or axes.optimiser=[…]" in fault


def test_every_fault_is_in_one_report_by_line(tmp_path):
    text = (
        base("  beta: x\n  siez: 3\n  style_layers: {}").replace("1e-2]", "-3]")
        + "cases: {A: {pooling: avg}}\nfoo: 1\n"
    )
    faults = faults_of(tmp_path, text, "transfer.steps=0", "nonsense", profile="papr")
    starts = [
        "FILE:5: transfer.beta",
        "FILE:6: transfer.siez",
        "FILE:9: axes.alpha",
        "FILE:11: cases.A.pooling",
        "FILE:12: foo",
    ]
    assert [next((fault for fault in faults if fault.startswith(start)), None) for start in starts] == faults[:5]
    assert {fault.split(":")[0] for fault in faults[5:]} == {
        "override 'nonsense'", "override 'transfer.steps=0'", "--profile papr"
    }  # fmt: skip


def test_contradiction_between_fields_is_found_beside_other_faults(tmp_path):
    faults = faults_of(tmp_path, base("  content_layers: {}\n  size: x"))
    assert len(faults) == 2
    assert "FILE:5: transfer.content_layers: content_layers is empty while alpha is 0.001" in faults[0]


def test_base_is_checked_also_where_an_axis_replaces_it(tmp_path):
    [fault] = faults_of(tmp_path, GOOD.replace("1e-3", "x"))
    assert fault.startswith("FILE:4: transfer.alpha: got 'x'")


def test_contradiction_in_a_cell_points_at_the_axis_value(tmp_path):
    text = GOOD.replace("[1e-4, 1e-2]", "\n  - 1\n  - 0").replace("axes:", "  beta: 0\naxes:")
    [fault] = faults_of(tmp_path, text)
    assert fault.startswith("FILE:9: axes.alpha: alpha and beta are both 0")


def test_unknown_profile_names_the_nearest(tmp_path):
    text = GOOD + "profiles: {paper: {transfer: {size: 512}}}\n"
    [fault] = faults_of(tmp_path, text, profile="papre")
    assert fault == "--profile papre: there is no profile 'papre'; did you mean paper?"


def test_every_unknown_profile_of_several_is_named(tmp_path):
    text = GOOD + "profiles: {paper: {transfer: {size: 512}}}\n"
    [first, second] = faults_of(tmp_path, text, profile="papre,paper,sedes")
    assert first == "--profile papre,paper,sedes: there is no profile 'papre'; did you mean paper?"
    assert second.startswith("--profile papre,paper,sedes: there is no profile 'sedes'")


def test_fault_in_a_profile_is_found_without_asking_for_it(tmp_path):
    text = GOOD + "profiles:\n  paper: {transfer: {size: 512}}\n  huge: {transfer: {size: 99999}}\n"
    [fault] = faults_of(tmp_path, text, profile="paper")
    assert fault.startswith("FILE:10: transfer.size: got 99999")


def test_alias_bomb_is_refused_quickly(tmp_path):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 9):
        bomb += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"
    assert any("alias bomb" in fault for fault in faults_of(tmp_path, bomb))


@pytest.mark.parametrize("name", ["a b.yaml", "ä.yaml", "a.json", "a.b.yaml"])
def test_file_name_must_do_as_a_folder(tmp_path, name):
    [fault] = faults_of(tmp_path, GOOD, name=name)
    assert "letters, digits, _ and -, then .yaml, are allowed" in fault


def test_missing_file_names_the_nearest(tmp_path):
    (tmp_path / "relative_weight.yaml").write_text(GOOD)
    with pytest.raises(ConfigError, match=r"no such file; did you mean .*relative_weight\.yaml\?"):
        load_experiment(tmp_path / "relativ_weight")


def test_folder_lists_its_files(tmp_path):
    (tmp_path / "one.yaml").write_text(GOOD)
    with pytest.raises(ConfigError, match=r"is a folder; give one of its files: one\.yaml"):
        load_experiment(tmp_path)


@pytest.mark.parametrize("path", ["/dev/null", "a\0b", "x" * 5000 + ".yaml"])
def test_what_is_no_file_is_a_sentence(path):
    with pytest.raises(ConfigError):
        load_experiment(path)


bits = st.sampled_from(
    [*"{}[]:,'\"&*!-\n\t~", "null", "3", "-1", "<<: ", "&a ", "*a", "alpha", "axes", "optimiser: ", "{}", "[]"]
)
words = st.builds(
    "{}={}".format,
    st.sampled_from(
        ["transfer", "axes", "cases", "transfer.alpha", "transfer.weights.file", "axes.alpha", "cases.A.start"]
    ),
    st.sampled_from(["", "3", "[]", "{}", "x", "[[1]]", "{alpha: [1]}", "{A: {seed: 2}}", "{file: a}"]),
)


@settings(deadline=None, max_examples=25)
@given(
    edits=st.lists(st.tuples(st.integers(0, len(GOOD)), bits, st.integers(0, 4)), max_size=3),
    words=st.lists(words, max_size=3),
)
def test_whatever_is_written_there_is_never_a_traceback(tmp_path_factory, edits, words):
    text = GOOD
    for start, inserted, num_deleted in edits:
        text = text[:start] + inserted + text[start + num_deleted :]
    path = tmp_path_factory.mktemp("edited") / "a.yaml"
    path.write_text(text)
    try:
        assert load_experiment(path, words).cells
    except ConfigError as error:
        assert error.faults and all(fault.message for fault in error.faults)
