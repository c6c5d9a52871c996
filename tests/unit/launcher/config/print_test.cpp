#include "launcher/config/print.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "launcher/config/load.h"

namespace trireme {
namespace {

using nlohmann::json;

RunConfig unusual_config() {
  RunConfig config;
  config.data.data_path = {"a b", "quote\" and \\ and: colon", "#hash"};
  config.data.data_weights = {0.1, 1e-30, 3};
  config.training.output_dir = "true";
  config.training.seed = 9007199254740993;
  config.optimizer.lr = 1e-5;
  return config;
}

TEST(ConfigPrinting, YamlReadsBackAsTheSameConfiguration) {
  for (const bool comments : {false, true}) {
    const RunConfig config = unusual_config();
    EXPECT_EQ(to_canonical_json(parse_run_config(to_yaml(config, comments), "printed")),
              to_canonical_json(config));
  }
}

TEST(ConfigPrinting, CanonicalJsonIsSortedAndIsItselfARunFile) {
  const RunConfig config = unusual_config();
  const std::string text = to_canonical_json(config);
  EXPECT_EQ(json::parse(text).dump(), text);
  EXPECT_EQ(to_canonical_json(parse_run_config(text, "json")), text);
}

TEST(ConfigPrinting, TheSchemaListsEveryKeyWithTypeDefaultAndHelp) {
  const json schema = json::parse(to_json_schema());
  EXPECT_EQ(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
  EXPECT_EQ(schema["additionalProperties"], false);
  EXPECT_EQ(schema["properties"]["includes"]["type"], "array");
  for (const FieldEntry& entry : list_fields(RunConfig())) {
    const json& section = schema["properties"][entry.section];
    EXPECT_EQ(section["additionalProperties"], false);
    const json& property = section["properties"][entry.field.name];
    EXPECT_TRUE(property.contains("type")) << entry.key();
    EXPECT_TRUE(property.contains("default")) << entry.key();
    EXPECT_GT(property["description"].get<std::string>().size(), 8u) << entry.key();
    EXPECT_EQ(property.contains("minimum"),
              entry.field.minimum.has_value() &&
                  (entry.type == FieldType::kInteger || entry.type == FieldType::kNumber))
        << entry.key();
    if (!entry.field.choices.empty()) {
      EXPECT_EQ(property["enum"].size(), entry.field.choices.size()) << entry.key();
    }
  }
}

TEST(ConfigPrinting, DocsAndKeyListNameEveryKeyOnce) {
  const std::string docs = to_markdown(), keys = "\n" + to_key_list();
  std::set<std::string> seen;
  for (const FieldEntry& entry : list_fields(RunConfig())) {
    EXPECT_TRUE(seen.insert(entry.key()).second) << entry.key();
    EXPECT_NE(docs.find(std::string("| `") + entry.field.name + "` | "), std::string::npos) << entry.key();
    EXPECT_NE(keys.find(fmt::format("\n{}\n", entry.key())), std::string::npos) << entry.key();
  }
}

TEST(ConfigPrinting, EveryMemberOfASectionIsListed) {
  // The keys that other programs rely on.
  const std::string keys = "\n" + to_key_list();
  for (const char* key : {"model.num_layers",
                          "model.hidden_size",
                          "model.ffn_hidden_size",
                          "model.num_attention_heads",
                          "model.num_query_groups",
                          "data.seq_length",
                          "data.source",
                          "data.data_path",
                          "training.micro_batch_size",
                          "training.global_batch_size",
                          "training.train_iters",
                          "training.eval_interval",
                          "training.resume",
                          "training.output_dir",
                          "parallel.tensor_model_parallel_size",
                          "parallel.pipeline_model_parallel_size",
                          "parallel.context_parallel_size",
                          "parallel.expert_model_parallel_size",
                          "optimizer.clip_grad",
                          "optimizer.weight_decay",
                          "optimizer.lr",
                          "optimizer.min_lr",
                          "optimizer.lr_warmup_iters",
                          "optimizer.lr_decay_style",
                          "precision.dtype",
                          "checkpoint.save_interval"})
    EXPECT_NE(keys.find(std::string("\n") + key + "\n"), std::string::npos) << key;
}

}  // namespace
}  // namespace trireme
