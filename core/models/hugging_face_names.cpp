#include "core/models/hugging_face_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/base/check.h"

namespace trireme {
namespace {

/// A module of theirs and those of ours that it packs. "{}" stands for the number of a layer.
struct Module {
  const char* theirs;
  std::vector<const char*> ours;
  bool transposed = false;
};

struct Table {
  const char* prefix;
  const char* embedding;
  std::vector<Module> modules;
  std::vector<const char*> buffers;  ///< ends of names
};

/// transformers/models/gpt2/modeling_gpt2.py.
Table gpt2_table() {
  return {.prefix = "transformer.",
          .embedding = "transformer.wte",
          .modules = {{"transformer.wte", {"embedding.word"}},
                      {"transformer.wpe", {"embedding.position"}},
                      {"transformer.h.{}.ln_1", {"layers.{}.input_norm"}},
                      {"transformer.h.{}.attn.c_attn",
                       {"layers.{}.attention.query", "layers.{}.attention.key", "layers.{}.attention.value"},
                       true},
                      {"transformer.h.{}.attn.c_proj", {"layers.{}.attention.output"}, true},
                      {"transformer.h.{}.ln_2", {"layers.{}.mlp_norm"}},
                      {"transformer.h.{}.mlp.c_fc", {"layers.{}.mlp.up"}, true},
                      {"transformer.h.{}.mlp.c_proj", {"layers.{}.mlp.down"}, true},
                      {"transformer.ln_f", {"final_norm"}},
                      {"lm_head", {"head"}}},
          .buffers = {".attn.bias", ".attn.masked_bias"}};
}

/// transformers/models/llama/modeling_llama.py.
Table llama_table() {
  return {.prefix = "model.",
          .embedding = "model.embed_tokens",
          .modules = {{"model.embed_tokens", {"embedding.word"}},
                      {"model.layers.{}.input_layernorm", {"layers.{}.input_norm"}},
                      {"model.layers.{}.self_attn.q_proj", {"layers.{}.attention.query"}},
                      {"model.layers.{}.self_attn.k_proj", {"layers.{}.attention.key"}},
                      {"model.layers.{}.self_attn.v_proj", {"layers.{}.attention.value"}},
                      {"model.layers.{}.self_attn.o_proj", {"layers.{}.attention.output"}},
                      {"model.layers.{}.post_attention_layernorm", {"layers.{}.mlp_norm"}},
                      {"model.layers.{}.mlp.gate_proj", {"layers.{}.mlp.gate"}},
                      {"model.layers.{}.mlp.up_proj", {"layers.{}.mlp.up"}},
                      {"model.layers.{}.mlp.down_proj", {"layers.{}.mlp.down"}},
                      {"model.norm", {"final_norm"}},
                      {"lm_head", {"head"}}},
          .buffers = {".rotary_emb.inv_freq"}};
}

Table table_of(HuggingFaceFamily family) {
  return family == HuggingFaceFamily::kGpt2 ? gpt2_table() : llama_table();
}

std::string in_layer(const char* name, int64_t layer) {
  std::string text = name;
  const size_t place = text.find("{}");
  return place == std::string::npos ? text : text.replace(place, 2, std::to_string(layer));
}

bool is_of_a_layer(const Module& module) {
  return std::string(module.theirs).find("{}") != std::string::npos;
}

/// The module's weight or bias, where the model has it.
void add(std::vector<HuggingFaceTensor>& tensors, const Module& module, int64_t layer, const char* kind,
         const std::map<std::string, Shape>& ours) {
  HuggingFaceTensor tensor{in_layer(module.theirs, layer) + kind, {}, {}, false};
  for (const char* name : module.ours) {
    const auto found = ours.find(in_layer(name, layer) + kind);
    if (found == ours.end()) return;
    tensor.pieces.push_back(found->first);
    if (tensor.shape.empty())
      tensor.shape = found->second;
    else
      tensor.shape[0] += found->second[0];
  }
  tensor.transposed = module.transposed && tensor.shape.size() == 2;
  if (tensor.transposed) std::swap(tensor.shape[0], tensor.shape[1]);
  tensors.push_back(std::move(tensor));
}

}  // namespace

std::vector<HuggingFaceTensor> hugging_face_tensors(HuggingFaceFamily family, int64_t num_layers,
                                                    const std::map<std::string, Shape>& ours) {
  const std::vector<Module> modules = table_of(family).modules;
  std::vector<HuggingFaceTensor> tensors;
  const auto add_module = [&](const Module& module, int64_t layer) {
    for (const char* kind : {".weight", ".bias"}) add(tensors, module, layer, kind, ours);
  };
  const auto first = std::find_if(modules.begin(), modules.end(), is_of_a_layer);
  const auto last = std::find_if_not(first, modules.end(), is_of_a_layer);
  for (auto module = modules.begin(); module != first; ++module) add_module(*module, 0);
  for (int64_t layer = 0; layer < num_layers; ++layer)
    for (auto module = first; module != last; ++module) add_module(*module, layer);
  for (auto module = last; module != modules.end(); ++module) add_module(*module, 0);

  std::set<std::string> covered;
  for (const HuggingFaceTensor& tensor : tensors)
    for (const std::string& piece : tensor.pieces)
      TRIREME_ASSERT(covered.insert(piece).second, piece + " has two names in the table");
  for (const auto& [name, shape] : ours)
    TRIREME_ASSERT(covered.contains(name), name + " has no name in the table of its family");
  return tensors;
}

const char* base_prefix(HuggingFaceFamily family) {
  return table_of(family).prefix;
}

bool is_buffer(HuggingFaceFamily family, const std::string& name) {
  const std::vector<const char*> ends = table_of(family).buffers;
  return std::any_of(ends.begin(), ends.end(), [&](const char* end) { return name.ends_with(end); });
}

std::string embedding_name(HuggingFaceFamily family) {
  return std::string(table_of(family).embedding) + ".weight";
}

}  // namespace trireme
