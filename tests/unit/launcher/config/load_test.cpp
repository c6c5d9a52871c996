#include "launcher/config/load.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "core/base/error.h"
#include "launcher/config/config_tree.h"
#include "launcher/config/print.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

using testing::TemporaryFolder;

/// The message of what `text` raises, with its exit code checked.
std::string error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    parse_run_config(text, "run.yaml", overrides);
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kUsage);
    return error.what();
  }
  return "no error";
}

TEST(RunConfig, AnEmptyFileGivesTheDefaults) {
  EXPECT_EQ(to_yaml(parse_run_config("", "run.yaml")), to_yaml(RunConfig()));
  EXPECT_EQ(to_yaml(parse_run_config("training:\n", "run.yaml")), to_yaml(RunConfig()));
}

TEST(RunConfig, ReadsEveryTypeOfValue) {
  const RunConfig config = parse_run_config(
      "training: {train_iters: 12, peak_tflops: 1.5e0, tensorboard: false, output_dir: 'a b',\n"
      "           recompute_granularity: full}\n"
      "data: {data_path: [x, \"y\"], data_weights: [1, .5]}\n",
      "run.yaml");
  EXPECT_EQ(config.training.train_iters, 12);
  EXPECT_EQ(config.training.peak_tflops, 1.5);
  EXPECT_FALSE(config.training.tensorboard);
  EXPECT_EQ(config.training.output_dir, "a b");
  EXPECT_EQ(config.training.recompute_granularity, RecomputeGranularity::kFull);
  EXPECT_EQ(config.data.data_path, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(config.data.data_weights, (std::vector<double>{1, 0.5}));
}

TEST(RunConfig, NamesTheNearestKnownKey) {
  EXPECT_EQ(error_of("model:\n  num_layer: 3\n"),
            "run.yaml:2:3: model.num_layer: unknown key; did you mean model.num_layers?");
  EXPECT_EQ(error_of("training:\n  mirco_batch_size: 3\n"),
            "run.yaml:2:3: training.mirco_batch_size: unknown key; did you mean training.micro_batch_size?");
}

TEST(RunConfig, NamesTheSectionOfAKeyThatStandsInAnother) {
  EXPECT_EQ(error_of("model:\n  seq_length: 3\n"),
            "run.yaml:2:3: model.seq_length: unknown key; did you mean data.seq_length?");
  EXPECT_EQ(error_of("lr: 3\n"), "run.yaml:1:1: lr: unknown key; did you mean optimizer.lr?");
  EXPECT_EQ(error_of("modle: {}\n"), "run.yaml:1:1: modle: unknown key; did you mean model?");
}

TEST(RunConfig, GivesNoHintWhenNothingIsNear) {
  EXPECT_EQ(error_of("training: {xyzzy: 3}\n"),
            "run.yaml:1:12: training.xyzzy: unknown key; `trireme config docs` lists all of them");
}

TEST(RunConfig, RefusesDuplicateKeys) {
  EXPECT_EQ(error_of("training:\n  seed: 1\n  seed: 2\n"),
            "run.yaml:3:3: seed: the key is given twice in one mapping");
  EXPECT_EQ(error_of("training: {seed: 1}\ntraining: {seed: 1}\n"),
            "run.yaml:2:1: training: the key is given twice in one mapping");
}

TEST(RunConfig, RefusesOctalAndOtherUnusualIntegers) {
  EXPECT_EQ(
      error_of("training: {seed: 010}\n"),
      "run.yaml:1:18: training.seed: given 010, expected an integer >= 0; leading zeros are refused, they "
      "mean octal to some readers");
  for (const std::string text :
       {"0x10", "0o10", "1_000", "1e3", "1.0", "'7'", "seven", "99999999999999999999"})
    EXPECT_NE(error_of("training: {seed: " + text + "}\n").find("training.seed: given "), std::string::npos)
        << text;
}

TEST(RunConfig, RefusesUnusualNumbers) {
  EXPECT_EQ(error_of("training: {peak_tflops: .nan}\n"),
            "run.yaml:1:25: training.peak_tflops: given .nan, expected a number >= 0 (TFLOP/s)");
  for (const std::string text :
       {".inf", "-.inf", "nan", "inf", "1e999", "010", "0x1p3", "'1.0'", "1.2.3", "true"})
    EXPECT_NE(error_of("training: {peak_tflops: " + text + "}\n").find("training.peak_tflops: given "),
              std::string::npos)
        << text;
}

TEST(RunConfig, RefusesBooleansThatAreNotTrueOrFalse) {
  for (const std::string text : {"yes", "no", "on", "off", "True", "1", "'true'"})
    EXPECT_NE(error_of("training: {tensorboard: " + text + "}\n").find(", expected true or false"),
              std::string::npos)
        << text;
  EXPECT_EQ(error_of("training: {tensorboard: yes}\n"),
            "run.yaml:1:25: training.tensorboard: given yes, expected true or false");
}

TEST(RunConfig, RefusesPlainTextThatYamlReadsAsAnotherType) {
  EXPECT_EQ(
      error_of("training: {resume: no}\n"),
      "run.yaml:1:20: training.resume: given no, expected a string; YAML reads it as a boolean, put it in "
      "quotes");
  EXPECT_EQ(parse_run_config("training: {resume: 'no'}", "run.yaml").training.resume, "no");
  EXPECT_EQ(error_of("training: {resume: ~}\n"),
            "run.yaml:1:20: training.resume: given nothing, expected a string");
}

TEST(RunConfig, RefusesValuesOutOfRangeAndUnknownChoices) {
  EXPECT_EQ(
      error_of("training: {micro_batch_size: 0}\n"),
      "run.yaml:1:30: training.micro_batch_size: given 0, expected an integer from 1 to 1048576 (samples)");
  EXPECT_EQ(
      error_of("training: {recompute_granularity: some}\n"),
      "run.yaml:1:35: training.recompute_granularity: given some, expected one of none, full, selective");
}

TEST(RunConfig, RefusesScalarsForListsAndListsForScalars) {
  EXPECT_EQ(error_of("data: {data_path: a}\n"),
            "run.yaml:1:19: data.data_path: given a, expected a list of strings, such as [a, b]");
  EXPECT_EQ(error_of("training: {seed: [1]}\n"),
            "run.yaml:1:18: training.seed: given a list, expected an integer >= 0");
  EXPECT_EQ(error_of("training: 3\n"), "run.yaml:1:11: training: given 3, expected a mapping");
  EXPECT_EQ(error_of("just text\n"), "run.yaml:1:1: given just text, expected sections such as `model:`");
}

TEST(RunConfig, RefusesASecondDocument) {
  EXPECT_EQ(error_of("training: {seed: 1}\n---\ntraining: {seed: 2}\n"),
            "run.yaml:3:1: a second document starts here; a file holds one");
}

TEST(RunConfig, RefusesKeysThatAreNoNames) {
  EXPECT_EQ(error_of("training:\n  : 3\n"), "run.yaml:2:3: given nothing as a key, expected a name");
  EXPECT_EQ(error_of("training:\n  ? [a]\n  : 3\n"), "run.yaml:2:5: given a list as a key, expected a name");
}

TEST(RunConfig, RefusesTagsAnchorsAndAliases) {
  EXPECT_EQ(error_of("training: {seed: !!int 3}\n"),
            "run.yaml:1:18: the tag tag:yaml.org,2002:int is not supported; the type follows from the key");
  EXPECT_EQ(error_of("training: {seed: &a 3, train_iters: *a}\n").find("3 problems"), 0u);
}

TEST(RunConfig, RefusesWhatIsNoText) {
  const std::string message = ": given bytes that are not text, expected YAML in UTF-8";
  EXPECT_EQ(error_of("training: {output_dir: \xff}\n"), "run.yaml" + message);
  EXPECT_EQ(error_of(std::string("training: \0", 11)), "run.yaml" + message);
  EXPECT_NE(error_of("", {"output_dir=\xff"}).find("--set output_dir=\xff" + message), std::string::npos);
}

TEST(RunConfig, RefusesDeepNestingWithoutAnOverflow) {
  const std::string deep(200000, '[');
  EXPECT_NE(error_of("training: " + deep).find("mappings and lists stand too deep in each other"),
            std::string::npos);
}

TEST(RunConfig, SaysWhereTheYamlIsBroken) {
  EXPECT_EQ(error_of("training: {seed: 1\n").find("run.yaml:2:1: not valid YAML: "), 0u);
}

TEST(RunConfig, TellsEveryProblemAtOnce) {
  EXPECT_EQ(error_of("training:\n  seed: -1\n  tensorboard: yes\nmodel:\n  num_layer: 2\n", {"foo=1"}),
            "4 problems in the configuration:\n"
            "  --set foo=1: foo: unknown key; `trireme config docs` lists all of them\n"
            "  run.yaml:2:9: training.seed: given -1, expected an integer >= 0\n"
            "  run.yaml:3:16: training.tensorboard: given yes, expected true or false\n"
            "  run.yaml:5:3: model.num_layer: unknown key; did you mean model.num_layers?");
}

TEST(RunConfig, OverridesTakeFullKeysAndUniqueLeaves) {
  const RunConfig config =
      parse_run_config("training: {seed: 1}\n", "run.yaml",
                       {"training.seed=7", "lr=1e-2", "data.data_path=[a, b]", "output_dir=x=y"});
  EXPECT_EQ(config.training.seed, 7);
  EXPECT_EQ(config.optimizer.lr, 1e-2);
  EXPECT_EQ(config.data.data_path, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(config.training.output_dir, "x=y");
}

TEST(RunConfig, BadOverridesNameThemselves) {
  EXPECT_EQ(error_of("", {"training.seed=x"}),
            "--set training.seed=x: training.seed: given x, expected an integer >= 0");
  EXPECT_EQ(error_of("", {"seed"}), "--set seed: given no key, expected key=value");
  EXPECT_EQ(error_of("", {"sed=3"}), "--set sed=3: sed: unknown key; did you mean training.seed?");
  EXPECT_EQ(error_of("", {"seed="}), "--set seed=: training.seed: given nothing, expected an integer >= 0");
}

TEST(RunConfig, IncludesMergeMappingsReplaceListsAndLoseToTheIncluder) {
  const TemporaryFolder folder;
  folder.write("models/base.yaml", "training: {seed: 1, log_interval: 1}\ndata: {data_path: [a, b]}\n");
  folder.write("models/more.yaml", "includes: [base.yaml]\ntraining: {log_interval: 2, eval_iters: 2}\n");
  const auto path =
      folder.write("runs/run.yaml",
                   "includes: [../models/more.yaml]\ntraining: {eval_iters: 3}\ndata: {data_path: [c]}\n");
  const RunConfig config = load_run_config(path.string());
  EXPECT_EQ(config.training.seed, 1);
  EXPECT_EQ(config.training.log_interval, 2);
  EXPECT_EQ(config.training.eval_iters, 3);
  EXPECT_EQ(config.data.data_path, std::vector<std::string>{"c"});
  EXPECT_EQ(config.training.output_dir, "runs/run");
}

TEST(RunConfig, RefusesCyclesAndMissingIncludes) {
  const TemporaryFolder folder;
  const std::string a = folder.write("a.yaml", "includes: [b.yaml]\n").string();
  const std::string b = folder.write("b.yaml", "includes: [a.yaml, missing.yaml]\n").string();
  try {
    load_run_config(a);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.what(), "2 problems in the configuration:\n  " + b + ":1:12: includes: " + a +
                                " includes itself; take one include away\n  " + b +
                                ":1:20: includes: " + (folder.path() / "missing.yaml").string() +
                                ": no such file; give the path of a run file");
  }
}

TEST(RunConfig, MissingFileAndFolderAreNamed) {
  const TemporaryFolder folder;
  const auto message = [](const std::string& path) -> std::string {
    try {
      load_run_config(path);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message("/nowhere/run.yaml"), "/nowhere/run.yaml: no such file; give the path of a run file");
  EXPECT_EQ(message(folder.path().string()),
            folder.path().string() + ": given something that is not a file, expected a YAML file");
}

TEST(RunConfig, FilesWithoutEndAreRefused) {
  ConfigProblems problems;
  load_config_tree("/dev/zero", problems);
  try {
    problems.throw_if_any();
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(), "/dev/zero: too large, expected a run file of at most 1048576 bytes");
  }
}

TEST(RunConfig, IncludesThatDoubleAtEveryFileAreRefused) {
  const TemporaryFolder folder;
  for (int i = 0; i < 30; ++i) {
    const std::string next = std::to_string(i + 1) + ".yaml";
    folder.write(std::to_string(i) + ".yaml", "includes: [" + next + ", " + next + "]\n");
  }
  folder.write("30.yaml", "");
  try {
    load_run_config((folder.path() / "0.yaml").string());
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find(": includes: given more than 100 files, expected fewer"),
              std::string::npos)
        << error.what();
  }
}

TEST(RunConfig, OverridesSubstituteEnvironmentVariablesToo) {
  setenv("TRIREME_TEST_ROOT", "/some/where", 1);
  unsetenv("TRIREME_TEST_UNSET");
  EXPECT_EQ(parse_run_config("", "run.yaml", {"output_dir=${TRIREME_TEST_ROOT}/x"}).training.output_dir,
            "/some/where/x");
  EXPECT_EQ(error_of("", {"output_dir=${TRIREME_TEST_UNSET}/x"}),
            "--set output_dir=${TRIREME_TEST_UNSET}/x: training.output_dir: the environment variable "
            "TRIREME_TEST_UNSET is not set; export it or write the value");
  EXPECT_EQ(
      error_of("", {"output_dir=${}"}),
      "--set output_dir=${}: training.output_dir: given ${}, expected the name of a variable between the "
      "braces");
}

TEST(RunConfig, SubstitutesEnvironmentVariables) {
  setenv("TRIREME_TEST_ROOT", "/some/where", 1);
  setenv("TRIREME_TEST_SEED", "5", 1);
  unsetenv("TRIREME_TEST_UNSET");
  const TemporaryFolder folder;
  const std::string path = folder.write("run.yaml", "training: {seed: '${TRIREME_TEST_SEED}'}\n").string();
  const RunConfig config =
      load_run_config(folder
                          .write("good.yaml",
                                 "training:\n  seed: ${TRIREME_TEST_SEED}\n  output_dir: "
                                 "${TRIREME_TEST_ROOT}/${TRIREME_TEST_SEED}\n")
                          .string());
  EXPECT_EQ(config.training.seed, 5);
  EXPECT_EQ(config.training.output_dir, "/some/where/5");
  const std::string bad =
      folder.write("bad.yaml", "data:\n  data_path: ['${TRIREME_TEST_UNSET}/x']\n").string();
  try {
    load_run_config(bad);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.what(),
              bad +
                  ":2:15: data.data_path: the environment variable TRIREME_TEST_UNSET is not set; "
                  "export it or write the value");
  }
}

}  // namespace
}  // namespace trireme
