#include "core/autograd/functions/complex_embedding.h"

#include "core/ops/checks.h"
#include "core/ops/complex_embedding.h"

namespace trireme {
namespace {

class ComplexEmbedding final : public Function {
 public:
  ComplexEmbedding(const ComplexTables& tables, Tensor ids, Tensor positions, const ops::TableRange& range)
      : tables_(tables), ids_(std::move(ids)), positions_(std::move(positions)), range_(range) {
    for (Parameter* table : {&tables.amplitude, &tables.frequency, &tables.phase}) table->expect();
  }
  const char* name() const override { return "complex_embedding"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    context.weight_gradients.push(
        context, [d_y = d_outputs[0], ids = std::move(ids_), positions = std::move(positions_),
                  tables = tables_, range = range_](Context& context) {
          const Shape shape = {ids.num_elements(), tables.amplitude.shape[1]};
          const auto rows = [&] { return context.workspace(shape, ops::wide_dtype(d_y.dtype())); };
          Tensor d_amplitude = rows(), d_frequency = rows(), d_phase = rows();
          ops::complex_embedding_backward(context, d_y, tables.amplitude.value, tables.frequency.value,
                                          tables.phase.value, ids, positions, d_amplitude, d_frequency,
                                          d_phase, range);
          const auto contribute = [&](Parameter& table, const Tensor& d_rows) {
            table.contribute([&](Tensor& d_table, bool accumulate) {
              ops::embedding_backward(context, d_rows, ids, d_table, accumulate, range);
            });
          };
          contribute(tables.amplitude, d_amplitude);
          contribute(tables.frequency, d_frequency);
          contribute(tables.phase, d_phase);
        });
    return {};
  }

 private:
  ComplexTables tables_;
  Tensor ids_, positions_;
  ops::TableRange range_;
};

}  // namespace

Variable complex_embedding(Context& context, const ComplexTables& tables, const Tensor& ids,
                           const Tensor& positions, const ops::TableRange& range) {
  const Tensor& amplitude = tables.amplitude.value;
  Tensor y = context.activation({ids.num_elements(), 2 * amplitude.cols()}, amplitude.dtype());
  ops::complex_embedding_forward(context, amplitude, tables.frequency.value, tables.phase.value, ids,
                                 positions, y, range);
  if (!Function::needed(context, {}, true)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<ComplexEmbedding>(tables, ids, positions, range), {},
                          {std::move(y)})[0];
}

}  // namespace trireme
