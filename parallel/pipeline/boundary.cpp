#include "parallel/pipeline/boundary.h"

#include "core/ops/elementwise.h"

namespace trireme {
namespace {

/// All rows with their padding, which both sides lay out alike.
Tensor flat(const Tensor& x) {
  return Tensor::view_of(x.storage(), x.byte_offset(), {(x.rows() - 1) * x.row_stride() + x.cols()},
                         x.dtype());
}

Tensor with_usual_rows(Context& context, const Tensor& x) {
  if (x.row_stride() == padded_row_stride(x.cols(), x.dtype())) return x;
  Tensor copy = context.activation(x.shape(), x.dtype());
  ops::cast(context, x, copy);
  return copy;
}

}  // namespace

Incoming::Incoming(Context& context, Communicator& pipeline, const std::vector<Shape>& shapes, DType dtype,
                   int source, int tag) {
  for (const Shape& shape : shapes) {
    tensors_.push_back(context.activation(shape, dtype));
    works_.push_back(pipeline.receive_async(flat(tensors_.back()), source, tag));
  }
}

std::vector<Tensor> Incoming::wait() {
  for (const auto& work : works_) work->wait();
  works_.clear();
  return std::move(tensors_);
}

void send_boundary(Context& context, Communicator& pipeline, const std::vector<Tensor>& tensors,
                   int destination, int tag, Outbox& outbox) {
  for (const Tensor& tensor : tensors)
    outbox.add(pipeline.send_async(flat(with_usual_rows(context, tensor)), destination, tag));
}

}  // namespace trireme
