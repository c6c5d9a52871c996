// Models of Hugging Face Transformers (tests/oracle/{gpt2,llama,bert,marian}, made by make_*_fixtures.py) in
// and out.
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
#include "core/models/registry.h"
#include "launcher/commands/checkpoint_commands.h"
#include "launcher/commands/model_files.h"
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
constexpr const char* kFamilies[] = {"gpt2", "llama", "bert", "marian"};

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

/// The first batch of a fixture.
Batch first_batch(Context& context, const SafetensorsFile& oracle) {
  const auto read = [&](const char* name) {
    if (!oracle.entries().contains(name)) return Tensor();
    const Tensor all = oracle.read(context, name, MemoryCategory::kWorkspace);
    return all.slice(0, 0, 1).reshape(Shape(all.shape().begin() + 1, all.shape().end()));
  };
  const auto positions_of = [&](const Tensor& tokens) {
    if (!tokens.defined()) return Tensor();
    Tensor positions = context.workspace(tokens.shape(), DType::kInt32);
    for (int64_t i = 0; i < tokens.num_elements(); ++i)
      positions.data<int32_t>()[i] = static_cast<int32_t>(i % tokens.size(1));
    return positions;
  };
  Batch batch;
  batch.tokens = read("tokens");
  batch.positions = positions_of(batch.tokens);
  batch.lengths = read("lengths");
  batch.segments = read("segments");
  batch.source_tokens = read("source_tokens");
  batch.source_positions = positions_of(batch.source_tokens);
  batch.source_lengths = read("source_lengths");
  batch.sample_ids = context.zeros({kBatch}, DType::kInt64, MemoryCategory::kWorkspace);
  return batch;
}

/// max|ours - theirs| / max|theirs| over the logits of the fixture's first batch, padding left out.
double logit_error(const std::string& run, const std::string& family) {
  Context context;
  TrainedModel trained(context, load_run(run), find_step(run));
  const SafetensorsFile oracle(fixture(family) + ".safetensors");
  const Batch batch = first_batch(context, oracle);
  ForwardPass pass{.batch = batch};
  const Tensor logits = trained.model->logits(context, pass, false).reshape({kBatch * kLength, kVocabulary});
  const Tensor expected =
      oracle.read(context, "logits", MemoryCategory::kWorkspace).reshape({kBatch * kLength, kVocabulary});
  double error = 0, largest = 0;
  for (int64_t i = 0; i < expected.num_elements(); ++i) {
    const int64_t row = i / kVocabulary;
    if (batch.lengths.defined() && row % kLength >= batch.lengths.data<int32_t>()[row / kLength]) continue;
    const double theirs = testing::element(expected, i);
    error = std::max(error, std::abs(testing::element(logits, i) - theirs));
    largest = std::max(largest, std::abs(theirs));
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

TEST_F(HuggingFace, EveryImportedWeightIsTheOneOfItsName) {
  for (const std::string family : kFamilies) {
    const std::string run = import_model(fixture(family), family);
    Context context;
    const TrainedModel trained(context, load_run(run), find_step(run));
    const SafetensorsFile oracle(fixture(family) + ".safetensors");
    size_t num_compared = 0;
    for (Parameter* parameter : trained.store->parameters())
      for (size_t i = 0; i < parameter->pieces.size(); ++i) {
        const std::string name = "initial/" + parameter->pieces[i].name;
        const Tensor expected = oracle.read(context, name, MemoryCategory::kWorkspace);
        const Tensor given = parameter->piece(parameter->master, i);
        ASSERT_EQ(given.num_elements(), expected.num_elements()) << name;
        for (int64_t k = 0; k < expected.num_elements(); ++k)
          ASSERT_EQ(testing::element(given, k), testing::element(expected, k)) << family << name;
        ++num_compared;
      }
    EXPECT_GE(num_compared, 21u) << family;
  }
}

/// A config.json says of the model what another one says.
void expect_same_config(const std::string& folder, const std::string& original) {
  const ordered_json given = ordered_json::parse(read_file(folder + "/config.json"));
  const ordered_json expected = ordered_json::parse(read_file(original + "/config.json"));
  int num_compared = 0;
  for (const auto& [key, value] : given.items()) {
    if (key.ends_with("token_id") || !expected.contains(key) || expected[key].is_null()) continue;
    EXPECT_EQ(value, expected[key]) << key;
    ++num_compared;
  }
  EXPECT_GE(num_compared, 12) << original;
}

TEST_F(HuggingFace, AModelImportedAndExportedIsByteForByteTheSame) {
  for (const std::string family : kFamilies) {
    const std::string out = export_to(import_model(fixture(family), family), family + "-out");
    auto expected = tensors_of(fixture(family));
    expected.erase("final_logits_bias");  // zeros, which Transformers does not need
    EXPECT_EQ(tensors_of(out), expected) << family;
    expect_same_config(out, fixture(family));
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
    EXPECT_THAT(error.what(), HasSubstr("by config.json lm_head.weight is tied, but it is not wte.weight"));
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

using Tensors = std::map<std::string, Tensor>;

/// Writes the model's tensors again, changed.
std::function<void(const std::string&)> rewrite(const std::function<void(Context&, Tensors&)>& change) {
  return [=](const std::string& folder) {
    Context context;
    Tensors tensors;
    {
      const SafetensorsFolder files(folder);
      for (const auto& [name, entry] : files.entries())
        tensors[name] = files.read(context, name, MemoryCategory::kWorkspace);
    }
    change(context, tensors);
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().filename() != "config.json") fs::remove(entry.path());
    std::vector<SafetensorsTensor> planned;
    for (const auto& [name, tensor] : tensors) planned.push_back({name, tensor.dtype(), tensor.shape()});
    SafetensorsWriter writer(folder, planned, 1'000'000);
    for (const auto& [name, tensor] : tensors) writer.write(tensor);
    writer.finish();
  };
}

/// Puts zeros in the place of a tensor, or beside the others.
std::function<void(const std::string&)> put_zeros(const std::string& name, const Shape& shape,
                                                  DType dtype = DType::kFloat32) {
  return rewrite([=](Context& context, Tensors& tensors) {
    tensors[name] = context.zeros(shape, dtype, MemoryCategory::kWorkspace);
  });
}

std::function<void(const std::string&)> erase(const std::string& name) {
  return rewrite([=](Context&, Tensors& tensors) { ASSERT_EQ(tensors.erase(name), 1u); });
}

/// Gives a tensor another name.
void rename(Tensors& tensors, const std::string& from, const std::string& to) {
  auto node = tensors.extract(from);
  ASSERT_FALSE(node.empty()) << from;
  node.key() = to;
  tensors.insert(std::move(node));
}

TEST_F(HuggingFace, OldFilesOfBertAndMarianAreReadAsThoseOfNow) {
  const auto expect_equal = [&](const std::string& family,
                                const std::function<void(Context&, Tensors&)>& age) {
    const std::string expected = import_model(fixture(family), family);
    fs::remove_all(path("copy"));
    rewrite(age)(copy(family));
    for (const TensorDifference& each :
         compare_steps(find_step(expected), find_step(import_model(path("copy"), family + "-old"))))
      EXPECT_TRUE(each.mismatch.empty() && each.num_equal == each.num_elements) << each.name << each.mismatch;
  };
  expect_equal("bert", [](Context& context, Tensors& tensors) {
    for (const char* norm : {"bert.embeddings.LayerNorm", "bert.encoder.layer.1.output.LayerNorm"}) {
      rename(tensors, std::string(norm) + ".weight", std::string(norm) + ".gamma");
      rename(tensors, std::string(norm) + ".bias", std::string(norm) + ".beta");
    }
    tensors["bert.embeddings.position_ids"] =
        context.zeros({1, 16}, DType::kInt64, MemoryCategory::kWorkspace);
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"];
    tensors["cls.predictions.decoder.bias"] = tensors["cls.predictions.bias"];
  });
  expect_equal("marian", [](Context& context, Tensors& tensors) {
    for (const char* name :
         {"lm_head.weight", "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"})
      tensors[name] = tensors["model.shared.weight"];
    Tensor table = context.workspace({16, 24}, DType::kFloat32);
    for (int64_t i = 0; i < table.num_elements(); ++i) {
      const double angle =
          static_cast<double>(i / 24) * std::pow(10000.0, -2.0 * static_cast<double>(i % 12) / 24);
      table.data<float>()[i] = static_cast<float>(i % 24 < 12 ? std::sin(angle) : std::cos(angle));
    }
    tensors["model.encoder.embed_positions.weight"] = tensors["model.decoder.embed_positions.weight"] = table;
  });
}

TEST_F(HuggingFace, MarianWithTwoVocabulariesGoesInAndOut) {
  set("share_encoder_decoder_embeddings", false)(copy("marian"));
  set("vocab_size", 29)(path("copy"));
  rewrite([](Context& context, Tensors& tensors) {
    rename(tensors, "model.shared.weight", "model.decoder.embed_tokens.weight");
    tensors.erase("final_logits_bias");
    tensors["lm_head.weight"] = tensors["model.decoder.embed_tokens.weight"];
    tensors["model.encoder.embed_tokens.weight"] =
        context.zeros({29, 24}, DType::kFloat32, MemoryCategory::kWorkspace);
  })(path("copy"));
  const std::string out = export_to(import_model(path("copy"), "tied"), "tied-out");
  expect_same_config(out, path("copy"));
  auto expected = tensors_of(path("copy"));
  const std::string head = expected["lm_head.weight"];
  expected.erase("lm_head.weight");
  EXPECT_EQ(tensors_of(out), expected);
  set("tie_word_embeddings", false)(path("copy"));
  const std::string untied = export_to(import_model(path("copy"), "untied"), "untied-out");
  expect_same_config(untied, path("copy"));
  EXPECT_EQ(tensors_of(untied), tensors_of(path("copy")));
}

/// Leaves nothing of BERT's heads, the pooler excepted.
void behead(Tensors& tensors) {
  std::erase_if(tensors, [](const auto& each) { return each.first.starts_with("cls."); });
}

TEST_F(HuggingFace, BertWithoutNextSentenceOrAsAClassifierGoesInAndOut) {
  rewrite([](Context&, Tensors& tensors) {
    std::erase_if(tensors, [](const auto& each) {
      return each.first.starts_with("cls.seq_relationship") || each.first.starts_with("bert.pooler");
    });
  })(copy("bert"));
  set("architectures", ordered_json::array({"BertForMaskedLM"}))(path("copy"));
  const std::string masked = import_model(path("copy"), "masked");
  EXPECT_LE(logit_error(masked, "bert"), 1e-5);
  EXPECT_EQ(tensors_of(export_to(masked, "masked-out")), tensors_of(path("copy")));
  expect_same_config(path("masked-out"), path("copy"));

  fs::remove_all(path("copy"));
  rewrite([](Context& context, Tensors& tensors) {
    behead(tensors);
    tensors["classifier.weight"] = context.zeros({3, 24}, DType::kFloat32, MemoryCategory::kWorkspace);
    tensors["classifier.bias"] = context.zeros({3}, DType::kFloat32, MemoryCategory::kWorkspace);
  })(copy("bert"));
  set("architectures", ordered_json::array({"BertForSequenceClassification"}))(path("copy"));
  set("id2label", {{"0", "no"}, {"1", "yes"}, {"2", "maybe"}})(path("copy"));
  const std::string classifier = import_model(path("copy"), "classifier");
  EXPECT_EQ(load_run(classifier).model.num_classes, 3);
  EXPECT_EQ(tensors_of(export_to(classifier, "classifier-out")), tensors_of(path("copy")));
  const ordered_json config = ordered_json::parse(read_file(path("classifier-out") + "/config.json"));
  EXPECT_EQ(config["architectures"], ordered_json::array({"BertForSequenceClassification"}));
  EXPECT_EQ(config["id2label"].size(), 3u);
}

TEST_F(HuggingFace, ABareBertIsImportedWithoutHeads) {
  rewrite([](Context&, Tensors& tensors) {
    behead(tensors);
    Tensors bare;
    for (const auto& [name, tensor] : tensors) bare[name.substr(std::strlen("bert."))] = tensor;
    tensors = bare;
  })(copy("bert"));
  set("architectures", ordered_json::array({"BertModel"}))(path("copy"));
  const std::string whole = import_model(fixture("bert"), "whole"), bare = import_model(path("copy"), "bare");
  EXPECT_EQ(read_file(whole + "/model.yaml"), read_file(bare + "/model.yaml"));
  int num_equal = 0, num_missing = 0;
  for (const TensorDifference& each : compare_steps(find_step(whole), find_step(bare))) {
    const bool head = each.name.starts_with("head.") || each.name.starts_with("next_sentence.");
    EXPECT_EQ(each.mismatch.empty(), !head) << each.name << each.mismatch;
    ++(head ? num_missing : num_equal);
  }
  EXPECT_EQ(num_missing, 7);
  EXPECT_EQ(num_equal, 5 + 2 * 16 + 2);
  try {
    export_to(bare, "never");
    ADD_FAILURE() << "accepted";
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("model head.bias is missing in the checkpoint"));
  }
}

TEST_F(HuggingFace, WhatCannotBeExpressedOrIsWrongIsNamedAndNothingIsWritten) {
  const std::string config = "' describes no model that can be imported:\n  ";
  const std::string weights = "' does not hold the model that its config.json describes:\n  ";
  const std::vector<Spoiled> cases = {
      {"gpt2", set("model_type", "mamba"),
       config + R"(model_type: given "mamba", expected one of gpt2, llama, bert, marian)"},
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
      {"llama", erase("model.norm.weight"), weights + "model.norm.weight is missing"},
      {"llama", put_zeros("lm_head.weight", {32, 37}),
       weights + "lm_head.weight has shape [32, 37], expected [37, 32]"},
      {"llama", put_zeros("lm_head.weight", {37, 32}, DType::kInt32),
       weights + "lm_head.weight is int32, expected a floating type"},
      {"llama", put_zeros("model.extra", {2}), weights + "model.extra is not expected"},
      {"bert", set("architectures", ordered_json::array({"BertForQuestionAnswering"})),
       config + R"(architectures: given ["BertForQuestionAnswering"], expected BertForPreTraining, )" +
           "BertForMaskedLM, BertForSequenceClassification, BertModel"},
      {"bert", set("hidden_act", "silu"), config + R"(hidden_act: given "silu", expected gelu_new)"},
      {"bert", set("is_decoder", true), config + "is_decoder: given true, expected false"},
      {"bert", set("position_embedding_type", "relative_key"),
       config + R"(position_embedding_type: given "relative_key", expected "absolute")"},
      {"bert", set("tie_word_embeddings", false), config + "tie_word_embeddings: given false, expected true"},
      {"bert", set("type_vocab_size", 0), config + "type_vocab_size: given 0, expected 1 or more"},
      {"bert", set("type_vocab_size", 3),
       weights + "bert.embeddings.token_type_embeddings.weight has shape [2, 24], expected [3, 24]"},
      {"bert", erase("bert.pooler.dense.bias"), weights + "bert.pooler.dense.bias is missing"},
      {"bert", put_zeros("cls.predictions.decoder.weight", {37, 24}),
       "cls.predictions.decoder.weight is tied, but it is not bert.embeddings.word_embeddings.weight"},
      {"bert", put_zeros("bert.embeddings.LayerNorm.gamma", {24}),
       weights + "bert.embeddings.LayerNorm.gamma is not expected"},
      {"bert",
       [](const std::string& folder) {
         put_zeros("classifier.weight", {1, 24})(folder);
         set("id2label", {{"0", "score"}})(folder);
       },
       config + R"(id2label: given {"0":"score"}, expected two labels or more)"},
      {"marian", set("activation_function", "swish"), config + R"(activation_function: given "swish")"},
      {"marian", set("decoder_ffn_dim", 40),
       config + "encoder_ffn_dim: given 36, expected decoder_ffn_dim's 40"},
      {"marian", set("decoder_attention_heads", 2),
       config + "encoder_attention_heads: given 4, expected decoder_attention_heads's 2"},
      {"marian", set("decoder_vocab_size", 40),
       config +
           "decoder_vocab_size: given 40, expected vocab_size's 37, with share_encoder_decoder_embeddings"},
      {"marian", set("tie_word_embeddings", false),
       config + "tie_word_embeddings: given false, expected true"},
      {"marian", set("encoder_layerdrop", 0.1), config + "encoder_layerdrop: given 0.1, expected 0"},
      {"marian", set("activation_dropout", 0.1), config + "activation_dropout: given 0.1, expected 0"},
      {"marian", set("normalize_before", true), config + "normalize_before: given true, expected false"},
      {"marian", set("encoder_layers", 3),
       weights + "model.encoder.layers.2.self_attn.q_proj.weight is missing"},
      {"marian", set("share_encoder_decoder_embeddings", false),
       weights + "model.encoder.embed_tokens.weight is missing"},
      {"marian",
       rewrite([](Context&, Tensors& tensors) { tensors["final_logits_bias"].data<float>()[36] = 0.5F; }),
       "final_logits_bias is not zero, and there is no such weight"},
      {"marian", put_zeros("model.encoder.embed_tokens.weight", {37, 24}),
       "model.encoder.embed_tokens.weight is tied, but it is not model.shared.weight"},
      {"marian", put_zeros("model.decoder.embed_positions.weight", {16, 24}),
       "model.decoder.embed_positions.weight is not Marian's table of sines and cosines for 16 positions"},
      {"marian", put_zeros("model.encoder.embed_positions.weight", {15, 24}),
       "model.encoder.embed_positions.weight is not Marian's table"},
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

/// What keeps the family from saying a tiny model, after `change`.
std::string obstacles(const std::string& family, const std::function<void(ModelConfig&)>& change) {
  ModelConfig config = family_named(family).defaults();
  config.num_layers = 2;
  config.hidden_size = 48;
  config.num_attention_heads = 4;
  config.vocab_size = 37;
  if (family == "transformer") config.sinusoidal_form = ops::SinusoidForm::kConcatenated;
  change(config);
  config.resolve(0, 16);
  return fmt::format(
      "{}", fmt::join(hugging_face_limits(config, shapes_of(logical_weights(config))).obstacles, "; "));
}

TEST(HuggingFaceObstacles, AreWhatConfigJsonCannotSay) {
  for (const char* family : {"gpt", "bert", "transformer"})
    EXPECT_EQ(obstacles(family,
                        [](ModelConfig& model) {
                          model.label_smoothing = 0.1;
                          model.hidden_dropout = 0.3;
                          model.attention_dropout = 0.2;
                          model.init_method = InitMethod::kXavierUniform;
                        }),
              "");
  const std::vector<std::tuple<const char*, std::function<void(ModelConfig&)>, const char*>> cases = {
      {"gpt", [](ModelConfig& model) { model.add_bias_linear = model.add_norm_bias = false; },
       "model.add_bias_linear: given false, the config.json of GPT-2 makes it true; model.add_norm_bias: "
       "given "
       "false, the config.json of GPT-2 makes it true"},
      {"gpt", [](ModelConfig& model) { model.position_embedding_type = PositionEmbedding::kNone; },
       "model.position_embedding_type: given none, the config.json of GPT-2 makes it learned_absolute"},
      {"gpt", [](ModelConfig& model) { model.num_query_groups = 1; },
       "model.num_query_groups: given 1, the config.json of GPT-2 makes it 4"},
      {"gpt", [](ModelConfig& model) { model.activation = FeedForwardActivation::kSwiglu; },
       "model.activation: given swiglu, the config.json of GPT-2 makes it gelu_tanh"},
      {"gpt", [](ModelConfig& model) { model.kv_channels = 32; },
       "model.kv_channels: given 32, the config.json of GPT-2 makes it 12"},
      {"gpt", [](ModelConfig& model) { model.norm_position = NormPosition::kPost; },
       "model.norm_position: given post, the config.json of GPT-2 makes it pre"},
      {"gpt", [](ModelConfig& model) { model.scale_embeddings = true; },
       "model.scale_embeddings: given true, the config.json of GPT-2 makes it false"},
      {"gpt", [](ModelConfig& model) { model.position_embedding_type = PositionEmbedding::kRope; },
       "model.normalization: given LayerNorm, the config.json of Llama makes it RMSNorm; model.activation: "
       "given gelu_tanh, the config.json of Llama makes it swiglu"},
      {"gpt",
       [](ModelConfig& model) {
         model.position_embedding_type = PositionEmbedding::kRope;
         model.normalization = Normalization::kRmsNorm;
         model.activation = FeedForwardActivation::kSwiglu;
         model.rotary_interleaved = true;
       },
       "model.rotary_interleaved: given true, the config.json of Llama makes it false"},
      {"bert", [](ModelConfig& model) { model.norm_position = NormPosition::kPre; },
       "model.norm_position: given pre, the config.json of BERT makes it post"},
      {"bert", [](ModelConfig& model) { model.position_embedding_type = PositionEmbedding::kSinusoidal; },
       "model.position_embedding_type: given sinusoidal, the config.json of BERT makes it learned_absolute"},
      {"bert", [](ModelConfig& model) { model.embedding_norm = false; },
       "model.embedding_norm: given false, the config.json of BERT makes it true"},
      {"bert", [](ModelConfig& model) { model.untie_embeddings_and_output_weights = true; },
       "model.untie_embeddings_and_output_weights: given true, the config.json of BERT makes it false"},
      {"bert", [](ModelConfig& model) { model.activation = FeedForwardActivation::kSwiglu; },
       "model.activation: given swiglu, the config.json of BERT makes it gelu"},
      {"transformer", [](ModelConfig& model) { model.norm_position = NormPosition::kPre; },
       "model.norm_position: given pre, the config.json of Marian makes it post"},
      {"transformer", [](ModelConfig& model) { model.sinusoidal_form = ops::SinusoidForm::kInterleaved; },
       "model.sinusoidal_form: given interleaved, the config.json of Marian makes it concatenated"},
      {"transformer", [](ModelConfig& model) { model.norm_epsilon = 1e-6; },
       "model.norm_epsilon: given 1e-06, the config.json of Marian makes it 1e-05"},
      {"transformer", [](ModelConfig& model) { model.add_bias_linear = false; },
       "model.add_bias_linear: given false, the config.json of Marian makes it true"},
  };
  for (const auto& [family, change, expected] : cases) EXPECT_EQ(obstacles(family, change), expected);
  EXPECT_THAT(
      obstacles("transformer", [](ModelConfig& model) { model.untie_embeddings_and_output_weights = true; }),
      HasSubstr("tie_word_embeddings: given false, expected true"));
  EXPECT_THAT(obstacles("bert", [](ModelConfig& model) { model.num_token_types = 0; }),
              HasSubstr("type_vocab_size: given 0, expected 1 or more"));
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
              HasSubstr("64 training.initialize_only: given [a], expected nothing without"));
}

}  // namespace
}  // namespace trireme
