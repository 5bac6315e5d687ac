import pytest

from modelpack.errors import SettingsError
from modelpack.recipe import apply_override, merge, read_recipe, section, training_part


@pytest.fixture
def recipe(tmp_path):
    (tmp_path / "base.yaml").write_text(
        "seed: 1\noptim: {lr: 0.1, steps: 10}\nmethods: [{name: kd, weight: 1}]\n"
    )
    path = tmp_path / "mine.yaml"
    path.write_text("include: base.yaml\noptim: {lr: 0.2}\nexport: {targets: [onnx]}\n")
    return path


def test_an_included_recipe_lies_below_the_one_that_includes_it(recipe):
    values = read_recipe(recipe)
    assert values["optim"] == {"lr": 0.2, "steps": 10}
    assert "include" not in values


def test_overrides_reach_sections_lists_and_keys_that_are_not_there_yet(recipe):
    values = read_recipe(
        recipe, ["optim.steps=3", "methods.0.weight=2.5", "data.root=/d", "export.targets.0=trt"]
    )
    assert values["optim"] == {"lr": 0.2, "steps": 3}
    assert values["methods"] == [{"name": "kd", "weight": 2.5}]
    assert values["data"] == {"root": "/d"}
    assert values["export"] == {"targets": ["trt"]}


def test_an_override_may_fill_a_section_that_stands_empty():
    values = {"teacher": None}
    apply_override(values, "teacher.network=n")
    assert values == {"teacher": {"network": "n"}}


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("[1, 2]", [1, 2]), ("null", None), ("0.5", 0.5), ("a=b", "a=b"), ("", None)],
)
def test_the_value_of_an_override_is_yaml(text, value):
    values = {}
    apply_override(values, f"key={text}")
    assert values == {"key": value}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "override 'seed' is not KEY=VALUE, as in data.root=/data/camvid or seed=1."),
        ("=1", "override '=1' is not KEY=VALUE, as in data.root=/data/camvid or seed=1."),
        ("seed.x=1", "override seed.x: 'x' would lie inside the value 1, which is no section."),
        ("methods.1.weight=1", "override methods.1.weight: '1' is no entry of a list of 1 (the first is 0)."),
        ("methods.kd=1", "override methods.kd: 'kd' is no entry of a list of 1 (the first is 0)."),
    ],
)
def test_an_override_that_does_not_fit_says_why(recipe, override, message):
    with pytest.raises(SettingsError) as caught:
        read_recipe(recipe, [override])
    assert str(caught.value) == message


def test_an_override_that_is_not_yaml_says_so(recipe):
    with pytest.raises(
        SettingsError, match=r"override 'seed=\[1': the value is not YAML \(line 1, column 3: "
    ):
        read_recipe(recipe, ["seed=[1"])


def test_a_pattern_of_paths_is_no_mapping(recipe):
    assert read_recipe(recipe, ["data.masks={split}/m/{name}.png"])["data"] == {
        "masks": "{split}/m/{name}.png"
    }


def test_a_shipped_recipe_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_recipe("recipes/folder.yaml")["name"] == "folder"
    assert read_recipe("recipes/published/camvid-teacher.yaml")["optim"]["steps"] == 40_000
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "folder.yaml").write_text("name: mine")
    assert read_recipe("recipes/folder.yaml")["name"] == "mine"


def test_a_recipe_that_is_not_yaml_is_named_with_the_line(tmp_path):
    (tmp_path / "r.yaml").write_text("a: 1\nb: [1, 2\nc: 3\n")
    with pytest.raises(SettingsError) as caught:
        read_recipe(tmp_path / "r.yaml")
    assert str(caught.value) == (
        f"recipe {tmp_path}/r.yaml cannot be read: line 3, column 2: expected ',' or ']', but got ':'."
    )


def test_merge_leaves_its_inputs_alone():
    base, over = {"a": {"b": [1]}}, {"a": {"c": [2]}}
    merged = merge(base, over)
    merged["a"]["b"].append(9)
    merged["a"]["c"].append(9)
    assert base == {"a": {"b": [1]}}
    assert over == {"a": {"c": [2]}}


def test_training_takes_everything_but_the_sections_of_other_stages(recipe):
    values = read_recipe(recipe)
    assert set(training_part(values)) == {"seed", "optim", "methods"}
    assert section(values, "export") == {"targets": ["onnx"]}
    assert section(values, "serve") == {}


def test_a_missing_recipe_says_where_recipes_are(tmp_path):
    with pytest.raises(
        SettingsError, match=r"no\.yaml does not exist\. The ones that ship are in recipes/\."
    ):
        read_recipe(tmp_path / "no.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("include: mine.yaml\n", "includes itself"),
        ("include: [a.yaml]\n", r"include is the path of one other recipe, got \['a.yaml'\]"),
        ("- a\n- b\n", r"must hold settings \(KEY: VALUE\), found list"),
        ("", "found NoneType"),
        ("a: [1\n", "cannot be read"),
    ],
)
def test_a_recipe_that_cannot_be_read_is_named(tmp_path, content, message):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=message) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value)
