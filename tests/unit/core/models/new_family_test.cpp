// The family that core/models/README.md shows, compiled as it stands there.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/models/block_model.h"
#include "core/models/embedding_block.h"
#include "core/models/language_head.h"
#include "core/models/transformer_layer.h"
#include "tests/support/paths.h"
#include "tests/support/run_program.h"
#include "tests/support/tiny_models.h"

namespace trireme {
namespace {

class Mine final : public BlockModel {
 public:
  Mine(const ModelConfig& config, nn::LayerBuilder& builder) : BlockModel(config, builder) {
    EmbeddingBlock& embedding = add(std::make_unique<EmbeddingBlock>(
        config, EmbeddingPlace{.name = "embedding.", .vocab_size = config.vocab_size}, builder));
    for (int64_t i = 0; i < config.num_layers; ++i)
      add(std::make_unique<TransformerLayer>(
          config,
          LayerPlace{.name = fmt::format("layers.{}.", i), .index = i, .cache_entry = i, .causal = true},
          builder));
    add(std::make_unique<LanguageHead>(config, "final_norm", &embedding.word(), builder));
  }
  std::vector<Shape> boundary_shapes(const Batch& batch, size_t) const override {
    return {stream_shape(batch, Sequence::kTokens)};  // what enters a block: a pipeline sends these
  }
};

std::string without_spaces(std::string text) {
  std::erase_if(text, [](unsigned char c) { return std::isspace(c); });
  return text;
}

TEST(NewFamily, TheReadmeShowsWhatIsCompiledHere) {
  const std::string source =
      testing::read_file(testing::test_folder() + "/unit/core/models/new_family_test.cpp");
  const size_t begin = source.find("class Mine"), end = source.find("std::string without_spaces");
  const std::string readme = testing::read_file(testing::test_folder() + "/../core/models/README.md");
  EXPECT_NE(without_spaces(readme).find(without_spaces(source.substr(begin, end - begin))),
            std::string::npos);
}

TEST(NewFamily, HasTheParametersOfItsParts) {
  const ModelConfig config = testing::tiny_gpt2();
  nn::PlainLayerBuilder builder;
  Mine mine(config, builder);
  const std::unique_ptr<Model> gpt = family_named("gpt").make(config, builder);
  ASSERT_EQ(mine.parameters().size(), gpt->parameters().size());
  for (size_t i = 0; i < mine.parameters().size(); ++i)
    EXPECT_EQ(mine.parameters()[i]->name, gpt->parameters()[i]->name);
}

}  // namespace
}  // namespace trireme
