#include "tests/support/checkpoint_run.h"

#include "core/base/philox.h"

namespace trireme::testing {
namespace {

std::unique_ptr<Parameter> make_parameter(const std::string& name, const Shape& shape, bool weight_decay) {
  auto parameter = std::make_unique<Parameter>();
  parameter->name = name;
  parameter->shape = shape;
  parameter->weight_decay = weight_decay;
  parameter->pieces = {{name, shape, Shape(shape.size(), 0), shape, 0}};
  return parameter;
}

void draw(const Tensor& flat, const ParameterStore& store, uint64_t seed, uint64_t site) {
  for (size_t i = 0; i < store.parameters().size(); ++i) {
    const Tensor part = store.view(flat, i);
    const RandomKey key =
        RandomKey::make(seed, RandomPurpose::kInitialization, site, site_of(store.parameters()[i]->name));
    dispatch_floating(part.dtype(), [&]<class T>(T) {
      for (int64_t j = 0; j < part.num_elements(); ++j)
        part.row<T>(j / part.cols())[j % part.cols()] = static_cast<T>(static_cast<float>(
            normal_from_bits(philox(key, {static_cast<uint32_t>(j), 0, 0, 0})[0], 12345u)[0]));
    });
  }
}

void append(std::string& bytes, const Tensor& tensor) {
  bytes.append(reinterpret_cast<const char*>(tensor.raw()), static_cast<size_t>(tensor.num_bytes()));
}

}  // namespace

CheckpointRun::CheckpointRun(Precision precision, uint64_t seed, int64_t vocabulary, int64_t ffn,
                             int64_t width) {
  parameters.push_back(make_parameter("wte.weight", {vocabulary, 12}, true));
  parameters.push_back(make_parameter("h.0.attn.qkv.weight", {9, 4}, true));
  parameters.back()->pieces.clear();
  for (int64_t i = 0; const char* part : {"q", "k", "v"})
    parameters.back()->pieces.push_back(
        {std::string("h.0.attn.") + part + ".weight", {3, 4}, {0, 0}, {3, 4}, 3 * i++});
  parameters.push_back(make_parameter("h.0.norm.weight", {5}, false));
  parameters.push_back(make_parameter("h.0.mlp.weight", {ffn, width}, true));
  parameters.push_back(make_parameter("h.0.mlp.bias", {1}, false));
  std::vector<Parameter*> pointers;
  for (const auto& parameter : parameters) pointers.push_back(parameter.get());
  PrecisionConfig policy;
  policy.dtype = precision;
  store = std::make_unique<ParameterStore>(context, ParameterLayout(pointers, policy));
  optimizer = make_optimizer(context, OptimizerConfig(), *store);
  draw(store->values(), *store, seed, 1);
  if (store->has_masters()) draw(store->masters(), *store, seed, 2);
  for (uint64_t site = 3; OptimizerState & one : optimizer->state()) draw(one.flat, *store, seed, site++);

  state.step = 12;
  state.tokens = 4096;
  state.samples = 64;
  state.run_id = "test-run";
  state.precision = name_of(precision);
  state.config_json = R"({"training":{"global_batch_size":8,"micro_batch_size":2},"model":{"num_layers":1}})";
  state.architecture_json = R"({"num_layers":1,"hidden_size":12})";
  state.tokenizer_hash = "0123456789abcdef";
  state.dataset_json = R"({"seed":1234,"fingerprints":["aa","bb"],"weights":[0.5,0.5]})";
  state.optimizer_json = R"({"optimizer":"adamw","lr":0.001})";
  state.loss_scaler_json = R"({"scale":1024.0,"growth_tracker":7})";
  state.mesh_json = R"({"data":1})";
}

std::string CheckpointRun::content() const {
  std::string bytes;
  append(bytes, store->values());
  append(bytes, store->masters());
  for (const OptimizerState& one : optimizer->state()) append(bytes, one.flat);
  return bytes;
}

}  // namespace trireme::testing
