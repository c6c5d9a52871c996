#pragma once

#include "core/autograd/variable.h"

namespace trireme {

/// y = a + b, same shape and type.
Variable add(Context& context, const Variable& a, const Variable& b);

}  // namespace trireme
