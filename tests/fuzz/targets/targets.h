#pragma once

#include <string_view>

namespace trireme::fuzz {

// What reads untrusted bytes. Each either takes them or refuses with its documented error; everything else
// (another exception, a crash, a sanitizer's report, a promise broken by what was taken) ends the program.

/// A manifest without its last line: the digest that fits is put behind it.
void manifest(std::string_view bytes);
/// The number of bytes of a .bin file in the first byte, then an .idx file.
void indexed_dataset(std::string_view bytes);
/// The number of bytes behind the header in the first four bytes, then a safetensors file up to there.
void safetensors(std::string_view bytes);

}  // namespace trireme::fuzz
