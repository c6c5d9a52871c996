// Models of Hugging Face Transformers (tests/oracle/gpt2 and llama, made by make_gpt_fixtures.py) in and out.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/io/safetensors.h"
#include "core/models/hugging_face_config.h"
#include "launcher/commands/checkpoint_commands.h"
#include "launcher/commands/trained_model.h"
#include "launcher/config/load.h"
#include "launcher/train/trainer.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/checkpoint/step_difference.h"
#include "parallel/comm/thread_communicator.h"
#include "tests/support/gradient_check.h"
#include "tests/support/paths.h"
#include "tests/support/run_program.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;
using ::testing::HasSubstr;
using testing::read_file;
using testing::TemporaryFolder;

constexpr int64_t kBatch = 3, kLength = 9, kVocabulary = 37;
constexpr const char* kFamilies[] = {"gpt2", "llama"};

std::string fixture(const std::string& family) {
  return testing::test_folder() + "/oracle/" + family;
}

/// Tensors of a folder, byte for byte.
std::map<std::string, std::string> tensors_of(const std::string& folder) {
  Context context;
  const SafetensorsFolder files(folder);
  std::map<std::string, std::string> tensors;
  for (const auto& [name, entry] : files.entries()) {
    const Tensor tensor = files.read(context, name, MemoryCategory::kWorkspace);
    tensors[name] =
        fmt::format("{} {} ", name_of(entry.dtype), to_string(entry.shape)) +
        std::string(reinterpret_cast<const char*>(tensor.raw()), static_cast<size_t>(tensor.num_bytes()));
  }
  return tensors;
}

class HuggingFace : public ::testing::Test {
 protected:
  void SetUp() override { ::testing::internal::CaptureStdout(); }
  void TearDown() override { ::testing::internal::GetCapturedStdout(); }

  std::string path(const std::string& name) const { return folder_.path() / name; }
  std::string import_model(const std::string& input, const std::string& output) const {
    import_checkpoint({input, path(output)});
    return path(output);
  }
  std::string export_to(const std::string& run, const std::string& output, const std::string& dtype = "",
                        int64_t max_file_bytes = SafetensorsWriter::kUsualFileBytes) const {
    export_checkpoint({run, path(output), dtype, max_file_bytes});
    return path(output);
  }
  /// A copy of a fixture that a test may spoil.
  std::string copy(const std::string& family) const {
    fs::copy(fixture(family), path("copy"), fs::copy_options::recursive);
    return path("copy");
  }
  TemporaryFolder folder_;
};

/// max|ours - theirs| / max|theirs| over the logits of the fixture's first batch.
double logit_error(const std::string& run, const std::string& family) {
  Context context;
  TrainedModel trained(context, load_run(run), find_step(run));
  const SafetensorsFile oracle(fixture(family) + ".safetensors");
  const auto read = [&](const char* name) { return oracle.read(context, name, MemoryCategory::kWorkspace); };
  Batch batch;
  batch.tokens = read("tokens").slice(0, 0, 1).reshape({kBatch, kLength});
  batch.positions = context.workspace({kBatch, kLength}, DType::kInt32);
  for (int i = 0; i < kBatch * kLength; ++i) batch.positions.data<int32_t>()[i] = i % kLength;
  batch.sample_ids = context.zeros({kBatch}, DType::kInt64, MemoryCategory::kWorkspace);
  ForwardPass pass{.batch = batch};
  const Tensor logits = trained.model->logits(context, pass, false).reshape({kBatch * kLength, kVocabulary});
  const Tensor expected = read("logits").reshape({kBatch * kLength, kVocabulary});
  double error = 0, largest = 0;
  for (int64_t i = 0; i < expected.num_elements(); ++i) {
    error = std::max(error, std::abs(testing::element(logits, i) - testing::element(expected, i)));
    largest = std::max(largest, std::abs(testing::element(expected, i)));
  }
  return error / largest;
}

TEST_F(HuggingFace, AnImportedModelGivesTheLogitsOfTransformers) {
  for (const std::string family : kFamilies) {
    const double error = logit_error(import_model(fixture(family), family), family);
    std::fprintf(stderr, "%s: logits %.1e\n", family.c_str(), error);
    EXPECT_LE(error, 1e-5) << family;
  }
}

TEST_F(HuggingFace, AModelImportedAndExportedIsByteForByteTheSame) {
  for (const std::string family : kFamilies) {
    const std::string out = export_to(import_model(fixture(family), family), family + "-out");
    EXPECT_EQ(tensors_of(out), tensors_of(fixture(family))) << family;
    const std::string again = import_model(out, family + "-again");
    for (const TensorDifference& each : compare_steps(find_step(path(family)), find_step(again)))
      EXPECT_TRUE(each.mismatch.empty() && each.dtypes.empty() && each.num_equal == each.num_elements)
          << each.name;
    EXPECT_EQ(read_file(path(family) + "/model.yaml"), read_file(again + "/model.yaml"));
  }
}

TEST_F(HuggingFace, AnExportInSeveralFilesIsTheSameModel) {
  const std::string out = export_to(import_model(fixture("gpt2"), "run"), "out", "", 20000);
  EXPECT_TRUE(fs::exists(out + "/model.safetensors.index.json"));
  EXPECT_FALSE(fs::exists(out + "/model.safetensors"));
  EXPECT_EQ(tensors_of(out), tensors_of(fixture("gpt2")));
}

TEST_F(HuggingFace, SixteenBitExportsAreTheRoundedValuesAndImportAsTheyAre) {
  const std::string run = import_model(fixture("llama"), "run");
  for (const std::string dtype : {"bf16", "fp16"}) {
    const std::string out = export_to(run, dtype, dtype);
    const std::string again = import_model(out, dtype + "-run");
    EXPECT_EQ(name_of(load_run(again).precision.dtype), dtype);
    EXPECT_EQ(tensors_of(export_to(again, dtype + "-out")), tensors_of(out));
    const double unit = dtype == "bf16" ? 0x1p-8 : 0x1p-11;
    for (const TensorDifference& each : compare_steps(find_step(run), find_step(again))) {
      EXPECT_LE(each.max_relative(), unit) << each.name;
      EXPECT_EQ(each.dtypes, dtype == "bf16" ? "float32 and bfloat16" : "float32 and float16");
      EXPECT_FALSE(each.within(1));
    }
  }
}

TEST_F(HuggingFace, FilesOfTheBareModelWithOldBuffersAndATiedHeadAreRead) {
  const std::string expected = import_model(fixture("gpt2"), "expected");
  Context context;
  std::vector<SafetensorsTensor> planned;
  std::vector<Tensor> tensors;
  const SafetensorsFolder files(fixture("gpt2"));
  const auto add = [&](const std::string& name, const Tensor& tensor) {
    planned.push_back({name, tensor.dtype(), tensor.shape()});
    tensors.push_back(tensor);
  };
  for (const auto& [name, entry] : files.entries())
    add(name.substr(std::strlen("transformer.")), files.read(context, name, MemoryCategory::kWorkspace));
  add("h.0.attn.bias", context.zeros({1, 1, 16, 16}, DType::kUInt8, MemoryCategory::kWorkspace));
  add("lm_head.weight", files.read(context, "transformer.wte.weight", MemoryCategory::kWorkspace));
  const auto write = [&](const std::string& name) {
    fs::create_directories(path(name));
    fs::copy(fixture("gpt2") + "/config.json", path(name) + "/config.json");
    SafetensorsWriter writer(path(name), planned, 1'000'000);
    for (const Tensor& tensor : tensors) writer.write(tensor);
    writer.finish();
    return path(name);
  };
  for (const TensorDifference& each :
       compare_steps(find_step(expected), find_step(import_model(write("bare"), "run"))))
    EXPECT_EQ(each.num_equal, each.num_elements) << each.name << each.mismatch;

  tensors.back().data<float>()[3] += 1;
  try {
    import_model(write("other-head"), "never");
    ADD_FAILURE() << "accepted";
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("lm_head.weight is not wte.weight"));
  }
}

/// What spoils a fixture's folder, and what is said.
struct Spoiled {
  const char* family;
  std::function<void(const std::string& folder)> spoil;
  std::string message;
  ExitCode code = ExitCode::kBadData;
};

std::function<void(const std::string&)> set(const std::string& key, const ordered_json& value) {
  return [=](const std::string& folder) {
    ordered_json config = ordered_json::parse(read_file(folder + "/config.json"));
    config[key] = value;
    std::ofstream(folder + "/config.json") << config;
  };
}

/// Writes the model's tensors again, changed.
std::function<void(const std::string&)> rewrite(
    const std::function<void(std::vector<SafetensorsTensor>&)>& change) {
  return [=](const std::string& folder) {
    std::vector<SafetensorsTensor> planned;
    {
      const SafetensorsFolder files(folder);
      for (const auto& [name, entry] : files.entries()) planned.push_back({name, entry.dtype, entry.shape});
    }
    change(planned);
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().filename() != "config.json") fs::remove(entry.path());
    Context context;
    SafetensorsWriter writer(folder, planned, 1'000'000);
    for (const SafetensorsTensor& tensor : planned)
      writer.write(context.zeros(tensor.shape, tensor.dtype, MemoryCategory::kWorkspace));
    writer.finish();
  };
}

TEST_F(HuggingFace, WhatCannotBeExpressedOrIsWrongIsNamedAndNothingIsWritten) {
  const std::string config = "' describes no model that can be imported:\n  ";
  const std::string weights = "' does not hold the model that its config.json describes:\n  ";
  const std::vector<Spoiled> cases = {
      {"gpt2", set("model_type", "mamba"), config + R"(model_type: given "mamba", expected gpt2 or llama)"},
      {"gpt2", set("activation_function", "swish"),
       config + R"(activation_function: given "swish", expected gelu_new, gelu_pytorch_tanh, gelu or relu)"},
      {"gpt2", set("scale_attn_by_inverse_layer_idx", true),
       config + "scale_attn_by_inverse_layer_idx: given true, expected false (nothing else is supported)"},
      {"gpt2", set("embd_pdrop", 0.3), config + "embd_pdrop: given 0.3, expected resid_pdrop's 0"},
      {"gpt2", set("n_layer", -1), config + "n_layer: given -1, expected an integer"},
      {"gpt2", set("n_layer", 1e30), config + "n_layer: given 1e+30, expected an integer"},
      {"gpt2", set("n_layer", 5000), config + "it makes model.num_layers 5000, which is out of range"},
      {"gpt2", set("n_embd", nullptr), config + "n_embd: given nothing, expected an integer"},
      {"gpt2", set("n_head", 5),
       config + "model.hidden_size 32 is not a multiple of model.num_attention_heads 5"},
      {"gpt2", set("n_inner", 64),
       weights + "transformer.h.0.mlp.c_fc.weight has shape [32, 128], expected [32, 64]\n"},
      {"gpt2", set("n_layer", 3), weights + "transformer.h.2.ln_1.weight is missing\n"},
      {"gpt2", set("n_layer", 1), weights + "transformer.h.1.attn.c_attn.bias is not expected\n"},
      {"gpt2", set("tie_word_embeddings", false), weights + "lm_head.weight is missing"},
      {"llama", set("rope_scaling", {{"rope_type", "linear"}, {"factor", 2}}),
       config + R"(rope_scaling: given {"factor":2,"rope_type":"linear"}, expected rope_type "default")"},
      {"llama", set("rope_parameters", {{"rope_type", "llama3"}, {"rope_theta", 1e4}}),
       config + "rope_parameters:"},
      {"llama", set("hidden_act", "gelu"), config + R"(hidden_act: given "gelu", expected silu)"},
      {"llama", set("mlp_bias", true), config + "mlp_bias: given true, expected attention_bias's false"},
      {"llama", set("attention_bias", "x"), config + R"(attention_bias: given "x", expected true or false)"},
      {"llama", set("quantization_config", {{"bits", 4}}),
       config + R"(quantization_config: given {"bits":4}, expected nothing)"},
      {"llama", rewrite([](auto& tensors) { tensors.pop_back(); }), weights + "model.norm.weight is missing"},
      {"llama", rewrite([](auto& tensors) {
         tensors[0].shape = {32, 37};
       }),
       weights + "lm_head.weight has shape [32, 37], expected [37, 32]"},
      {"llama", rewrite([](auto& tensors) { tensors[0].dtype = DType::kInt32; }),
       weights + "lm_head.weight is int32, expected a floating type"},
      {"llama", rewrite([](auto& tensors) {
         tensors.push_back({"model.extra", DType::kFloat32, {2}});
       }),
       weights + "model.extra is not expected"},
      {"llama", [](const std::string& folder) { fs::remove(folder + "/config.json"); },
       "/config.json' cannot be opened: No such file or directory; give a folder that Transformers' "
       "save_pretrained() made"},
      {"llama", [](const std::string& folder) { fs::remove(folder + "/model-00002-of-00002.safetensors"); },
       "/model-00002-of-00002.safetensors' cannot be opened: No such file", ExitCode::kInputOutput},
      {"gpt2", [](const std::string& folder) { fs::remove(folder + "/model.safetensors"); },
       "has neither model.safetensors nor model.safetensors.index.json; other formats of weights are not "
       "read"},
      {"gpt2", [](const std::string& folder) { fs::resize_file(folder + "/model.safetensors", 100000); },
       "/model.safetensors: not a valid safetensors file: tensor "},
      {"gpt2",
       [](const std::string& folder) { std::ofstream(folder + "/config.json") << std::string(50000, '['); },
       "nests deeper than 32"},
  };
  for (const Spoiled& wrong : cases) {
    fs::remove_all(path("copy"));
    wrong.spoil(copy(wrong.family));
    try {
      import_model(path("copy"), "run");
      ADD_FAILURE() << "accepted: " << wrong.message;
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(wrong.message));
      EXPECT_EQ(error.exit_code(), wrong.code) << error.what();
    }
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator()), 1)
        << wrong.message;
  }
}

TEST(HuggingFaceObstacles, NameWhatNeitherFamilyHas) {
  ModelConfig gpt2;
  gpt2.vocab_size = 37;
  gpt2.resolve(0, 16);
  EXPECT_TRUE(hugging_face_obstacles(gpt2).empty());
  const auto lines = [](ModelConfig config, const std::function<void(ModelConfig&)>& change) {
    change(config);
    return fmt::format("{}", fmt::join(hugging_face_obstacles(config), "; "));
  };
  EXPECT_EQ(lines(gpt2, [](ModelConfig& model) { model.add_bias_linear = model.add_norm_bias = false; }),
            "model.add_bias_linear: GPT-2 has true only; model.add_norm_bias: GPT-2 has true only");
  EXPECT_EQ(lines(gpt2, [](ModelConfig& model) { model.position_embedding_type = PositionEmbedding::kNone; }),
            "model.position_embedding_type: GPT-2 has learned_absolute only");
  EXPECT_EQ(lines(gpt2, [](ModelConfig& model) { model.num_query_groups = 1; }),
            "model.num_query_groups: GPT-2 has num_attention_heads only");
  EXPECT_EQ(lines(gpt2, [](ModelConfig& model) { model.activation = FeedForwardActivation::kSwiglu; }),
            "model.activation: GPT-2 has gelu_tanh, gelu and relu only");
  EXPECT_EQ(lines(gpt2, [](ModelConfig& model) { model.kv_channels = 32; }),
            "model.kv_channels: GPT-2 has hidden_size / num_attention_heads only");
  EXPECT_EQ(
      lines(gpt2, [](ModelConfig& model) { model.position_embedding_type = PositionEmbedding::kRope; }),
      "model.normalization: Llama (rope) has RMSNorm only; model.activation: Llama (rope) has swiglu only");
  EXPECT_EQ(lines(gpt2,
                  [](ModelConfig& model) {
                    model.position_embedding_type = PositionEmbedding::kRope;
                    model.normalization = Normalization::kRmsNorm;
                    model.activation = FeedForwardActivation::kSwiglu;
                    model.rotary_interleaved = true;
                  }),
            "model.rotary_interleaved: Llama (rope) has false (pairs i, i + half) only");
}

TEST_F(HuggingFace, AFolderThatExistsIsNotWrittenInto) {
  for (const auto& attempt : std::vector<std::function<void()>>{
           [&] { import_model(fixture("gpt2"), "there"); }, [&] { export_to(path("run"), "there"); }}) {
    if (!fs::exists(path("run"))) import_model(fixture("gpt2"), "run");
    fs::create_directories(path("there"));
    try {
      attempt();
      ADD_FAILURE();
    } catch (const IoError& error) {
      EXPECT_EQ(error.exit_code(), ExitCode::kCannotCreate);
      EXPECT_THAT(error.what(), HasSubstr("there' exists already; give a folder that does not"));
    }
    EXPECT_TRUE(fs::is_empty(path("there")));
  }
}

/// Masters of rank 0 before the first step of a run that begins with given weights.
std::vector<double> masters(const RunConfig& config, int num_ranks) {
  std::vector<double> values;
  comm::run_thread_ranks(num_ranks, [&](Communicator& world) {
    const Trainer trainer(config, world, [] { return false; });
    if (world.rank() != 0) return;
    const Tensor& flat = trainer.parameters().masters();
    for (int64_t i = 0; i < flat.num_elements(); ++i) values.push_back(testing::element(flat, i));
  });
  return values;
}

RunConfig tuning(const std::string& imported, const std::string& output,
                 const std::vector<std::string>& overrides = {}) {
  std::vector<std::string> all = {"training.output_dir=" + output, "initialize_from=" + imported};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return parse_run_config(
      read_file(imported + "/model.yaml") +
          "data: {source: synthetic, seq_length: 16}\n"
          "training: {train_iters: 2, micro_batch_size: 2, num_threads: 1, peak_tflops: 1}\n",
      "tune", all);
}

TEST_F(HuggingFace, ARunBeginsWithImportedWeightsInAnyPrecisionAndLayout) {
  const std::string imported = import_model(fixture("llama"), "imported");
  Context context;
  const TrainedModel expected(context, load_run(imported), find_step(imported));
  std::vector<double> values;
  for (int64_t i = 0; i < expected.store->masters().num_elements(); ++i)
    values.push_back(testing::element(expected.store->masters(), i));
  EXPECT_EQ(masters(tuning(imported, path("fp32")), 1), values);
  // Masters of bf16 are float32: nothing is lost; and a rank's half of the heads is that half of the whole.
  EXPECT_EQ(masters(tuning(imported, path("bf16"), {"precision.dtype=bf16"}), 1), values);
  comm::run_thread_ranks(1, [&](Communicator& world) {
    const Trainer trainer(tuning(imported, path("rounded"), {"precision.dtype=bf16"}), world,
                          [] { return false; });
    const Tensor& rounded = trainer.parameters().values();
    ASSERT_EQ(rounded.dtype(), DType::kBFloat16);
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(testing::element(rounded, static_cast<int64_t>(i)),
                static_cast<float>(bfloat16(static_cast<float>(values[i]))));
  });
  EXPECT_EQ(masters(tuning(imported, path("dp"), {"zero_stage=1", "global_batch_size=4"}), 2).size(),
            values.size());
  const RunConfig split =
      tuning(imported, path("tp"), {"tensor_model_parallel_size=2", "precision.dtype=bf16"});
  comm::run_thread_ranks(2, [&](Communicator& world) {
    Trainer trainer(split, world, [] { return false; });
    EXPECT_EQ(trainer.step(), 0);
    EXPECT_EQ(trainer.run(), ExitCode::kOk);
  });
  // What it saved is its own: the same command goes on from there.
  comm::run_thread_ranks(1, [&](Communicator& world) {
    RunConfig again = split;
    again.parallel.tensor_model_parallel_size = 1;
    EXPECT_EQ(Trainer(again, world, [] { return false; }).step(), 2);
  });
}

TEST_F(HuggingFace, AnImportedStepIsNoRunToResume) {
  const std::string imported = import_model(fixture("gpt2"), "imported");
  RunConfig config = tuning(imported, path("run"), {"resume=" + imported + "/checkpoints/step-00000000"});
  config.training.initialize_from = "";
  try {
    masters(config, 1);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kBadData);
    EXPECT_THAT(error.what(), HasSubstr("training.initialize_from"));
  }
}

std::string refusal(const RunConfig& config) {
  try {
    masters(config, 1);
  } catch (const Error& error) {
    return fmt::format("{} {}", static_cast<int>(error.exit_code()), error.what());
  }
  return "accepted";
}

TEST_F(HuggingFace, WeightsThatDoNotFitAreListedAndPatternsSayWhatIsTaken) {
  const std::string imported = import_model(fixture("llama"), "imported");
  const std::string wider = refusal(tuning(imported, path("run"), {"vocab_size=40", "rotary_base=5000"}));
  EXPECT_THAT(wider, HasSubstr("65 "));
  EXPECT_THAT(
      wider,
      HasSubstr("model embedding.word.weight has shape [37, 32] in the checkpoint, [40, 32] in this run"));
  EXPECT_THAT(wider, HasSubstr("model head.weight has shape"));
  EXPECT_THAT(wider, HasSubstr("model.rotary_base: 10000.0 in the checkpoint, 5000.0 in this run"));
  EXPECT_FALSE(fs::exists(path("run") + "/metrics.jsonl"));
  const std::string deeper = refusal(tuning(imported, path("run"), {"model.num_layers=3"}));
  EXPECT_THAT(deeper, HasSubstr("model layers.2.mlp.down.weight is missing in the checkpoint"));
  EXPECT_THAT(refusal(tuning(imported, path("run"), {"model.num_layers=1"})),
              HasSubstr("model layers.1.mlp.up.weight of the checkpoint is not in this run"));
  EXPECT_THAT(refusal(tuning(imported, path("run"), {"initialize_only=[layres.*]"})),
              HasSubstr("training.initialize_only: 'layres.*' is the name of no weight of this model"));

  // Layers and the last norm are taken, embedding and head stay as they were drawn.
  const std::vector<double> taken = masters(
      tuning(imported, path("a"), {"vocab_size=40", "initialize_only=[layers.*, final_norm.weight]"}), 1);
  RunConfig fresh = tuning(imported, path("b"), {"vocab_size=40"});
  fresh.training.initialize_from = "";
  const std::vector<double> drawn = masters(fresh, 1);
  ASSERT_EQ(taken.size(), drawn.size());
  int64_t num_equal = 0;
  for (size_t i = 0; i < taken.size(); ++i) num_equal += taken[i] == drawn[i] && drawn[i] != 0 ? 1 : 0;
  EXPECT_EQ(num_equal, 2 * 40 * 32);
}

TEST_F(HuggingFace, PlansNameWhatIsWrongWithInitialWeights) {
  EXPECT_THAT(
      refusal(tuning(import_model(fixture("gpt2"), "imported"), path("run"), {"initialize_from=missing"})),
      HasSubstr("64 training.initialize_from: given missing, expected a step folder"));
  EXPECT_THAT(refusal(tuning(path("imported"), path("run"), {"initialize_from=''", "initialize_only=[a]"})),
              HasSubstr("64 training.initialize_only: given patterns, expected none without"));
}

}  // namespace
}  // namespace trireme
