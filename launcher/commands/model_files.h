#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/models/hugging_face_names.h"
#include "core/models/model.h"
#include "core/tensor/context.h"
#include "launcher/config/run_config.h"

namespace trireme {

/// The logical tensors of a model (which holds no memory), in forward order.
struct LogicalWeight {
  std::string name;
  Shape shape;
  bool weight_decay = true;
};
std::vector<LogicalWeight> logical_weights(const ModelConfig& config);
/// The same by name, as the table of Hugging Face's names takes it.
std::map<std::string, Shape> shapes_of(const std::vector<LogicalWeight>& weights);

/// Gives a logical tensor, whole and contiguous.
using LoadWeight = std::function<Tensor(const std::string& name)>;

/// What `tensor` holds in a Transformers file: its pieces one after another, transposed where the file has it
/// so, converted to `dtype`. Contiguous. Holds at most three copies of it.
Tensor pack(Context& context, const HuggingFaceTensor& tensor, DType dtype, const LoadWeight& load);

/// The reverse, for one piece: the `rows` rows from `first_row` on of the stored tensor, as ours, converted.
Tensor unpack(Context& context, const HuggingFaceTensor& tensor, const Tensor& stored, int64_t first_row,
              int64_t rows, DType dtype);

}  // namespace trireme
