#pragma once

#include <string>

#include "core/optim/parameter_store.h"
#include "parallel/comm/communicator.h"

namespace trireme {

/// Throws CommError (exit 76) naming the ranks that differ from rank 0 when `text`, described by `what`, is
/// not the same on every rank of `group`. Collective.
void expect_equal_on_all_ranks(Communicator& group, const std::string& text, const std::string& what);

/// Throws CommError (exit 76) naming the first parameter, and the ranks, whose values or master weights are
/// not the same bits on every rank of `group`. Collective.
void check_replicas(const ParameterStore& store, Communicator& group);

}  // namespace trireme
