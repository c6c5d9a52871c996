#include "launcher/commands/model_files.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/models/registry.h"
#include "core/nn/plain_layer_builder.h"
#include "core/ops/elementwise.h"

namespace trireme {
namespace {

/// [rows, cols] -> [cols, rows], in squares that stay in the cache.
Tensor transpose(Context& context, const Tensor& x) {
  constexpr int64_t kSquare = 64;
  Tensor y = context.workspace({x.cols(), x.rows()}, x.dtype());
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    T* out = y.data<T>();
    for (int64_t row_begin = 0; row_begin < x.rows(); row_begin += kSquare)
      for (int64_t col_begin = 0; col_begin < x.cols(); col_begin += kSquare)
        for (int64_t row = row_begin; row < std::min(row_begin + kSquare, x.rows()); ++row)
          for (int64_t col = col_begin; col < std::min(col_begin + kSquare, x.cols()); ++col)
            out[col * x.rows() + row] = x.row<T>(row)[col];
  });
  return y;
}

}  // namespace

std::vector<LogicalWeight> logical_weights(const ModelConfig& config) {
  Context context;
  nn::PlainLayerBuilder builder;
  const std::unique_ptr<Model> model = make_model(config, builder);
  std::vector<LogicalWeight> weights;
  for (const Parameter* parameter : model->parameters())
    for (const ParameterPiece& piece : parameter->pieces)
      weights.push_back({piece.name, piece.global_shape, parameter->weight_decay});
  return weights;
}

std::map<std::string, Shape> shapes_of(const std::vector<LogicalWeight>& weights) {
  std::map<std::string, Shape> shapes;
  for (const LogicalWeight& weight : weights) shapes[weight.name] = weight.shape;
  return shapes;
}

Tensor pack(Context& context, const HuggingFaceTensor& tensor, DType dtype, const LoadWeight& load) {
  Shape shape = tensor.shape;
  if (tensor.transposed) std::swap(shape[0], shape[1]);
  const Tensor packed = context.workspace(shape, dtype);
  int64_t row = 0;
  for (const std::string& name : tensor.pieces) {
    const Tensor piece = load(name);
    Tensor part = packed.slice(0, row, piece.size(0));
    ops::cast(context, piece, part);
    row += piece.size(0);
  }
  TRIREME_ASSERT(row == shape[0], "the pieces of " + tensor.name + " do not fill it");
  return tensor.transposed ? transpose(context, packed) : packed;
}

Tensor unpack(Context& context, const HuggingFaceTensor& tensor, const Tensor& stored, int64_t first_row,
              int64_t rows, DType dtype) {
  const Tensor ours = (tensor.transposed ? transpose(context, stored) : stored).slice(0, first_row, rows);
  Tensor piece = context.workspace(ours.shape(), dtype);
  ops::cast(context, ours, piece);
  return piece;
}

}  // namespace trireme
