#pragma once

#include <string>

#include "core/optim/parameter_store.h"
#include "parallel/mesh/mesh.h"

namespace trireme {

/// Throws CommError (exit 76) naming the ranks that differ from rank 0 when `text`, described by `what`, is
/// not the same on every rank of `group`. Collective.
void expect_equal_on_all_ranks(Communicator& group, const std::string& text, const std::string& what);

/// Compares, by hashes, what several ranks hold and must be the same bits: over the data ranks all values
/// and buffers, and master weights where each keeps all of them; over the other axes the pieces that lie on
/// several ranks (replicated ones, copies, a tied embedding). Throws CommError (exit 76) on every rank,
/// naming the first parameter that differs and the world ranks. Collective over the world.
void check_replicas(const ParameterStore& store, Mesh& mesh);

}  // namespace trireme
