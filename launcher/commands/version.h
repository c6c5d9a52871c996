#pragma once

#include <string>

namespace trireme {

/// What `trireme --version` prints: version, commit, compiler, libraries and instruction set.
std::string version_text();

/// Name and version of the MPI library, such as "Open MPI v4.1.4".
std::string mpi_version();

}  // namespace trireme
