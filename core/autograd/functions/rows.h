#pragma once

#include "core/autograd/variable.h"

namespace trireme {

/// Rows 0, n, 2n, ... of x [rows, D], rows a multiple of n. Backward puts zeros between them.
Variable every_nth_row(Context& context, const Variable& x, int64_t n);

/// y[i] = x[rows[i]]: x [R, D], rows int32 [N] in any order, repeated or left out. Throws ShapeError for a
/// row outside x.
Variable gather_rows(Context& context, const Variable& x, const Tensor& rows);

/// T steps [B, D] each -> [B*T, D] with row b * T + t: the outputs of a decoder that runs step by step.
Variable stack_steps(Context& context, const std::vector<Variable>& steps);
/// The inverse: x [B*T, D] -> T steps [B, D].
std::vector<Variable> split_steps(Context& context, const Variable& x, int64_t num_steps);

/// [rows, C] and [rows, D] -> [rows, C + D], side by side.
Variable join_columns(Context& context, const Variable& left, const Variable& right);

}  // namespace trireme
