#include "core/ops/reference/embedding.h"

#include "core/ops/reference/element.h"

namespace trireme::ops::reference {
namespace {

int64_t id_at(const Tensor& ids, int64_t index) {
  return ids.row<int32_t>(index / ids.cols())[index % ids.cols()];
}

}  // namespace

void embedding_forward(Context&, const Tensor& table, const Tensor& ids, Tensor& out, bool accumulate,
                       int64_t first_row) {
  dispatch_floating(table.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < ids.num_elements(); ++i) {
      const int64_t row = id_at(ids, i) - first_row;
      const bool here = row >= 0 && row < table.rows();
      for (int64_t j = 0; j < table.cols(); ++j) {
        T& target = out.row<T>(i)[j];
        const double before = accumulate ? load(target) : 0.0;
        store(target, before + (here ? load(table.row<T>(row)[j]) : 0.0));
      }
    }
  });
}

void embedding_backward(Context&, const Tensor& d_out, const Tensor& ids, Tensor& d_table, bool accumulate,
                        int64_t first_row) {
  dispatch_floating(d_out.dtype(), [&]<class T>(T) {
    if (!accumulate)
      for (int64_t i = 0; i < d_table.rows(); ++i)
        for (int64_t j = 0; j < d_table.cols(); ++j) store(d_table.row<Wide<T>>(i)[j], 0.0);
    for (int64_t i = 0; i < ids.num_elements(); ++i) {
      const int64_t row = id_at(ids, i) - first_row;
      if (row < 0 || row >= d_table.rows()) continue;
      for (int64_t j = 0; j < d_table.cols(); ++j) {
        Wide<T>& target = d_table.row<Wide<T>>(row)[j];
        store(target, load(target) + load(d_out.row<T>(i)[j]));
      }
    }
  });
}

}  // namespace trireme::ops::reference
