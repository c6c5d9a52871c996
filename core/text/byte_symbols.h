#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trireme {

/// GPT-2's printable stand-ins for bytes (Radford et al. 2019, encoder.py, bytes_to_unicode): printable
/// Latin-1 stands for itself, the other bytes for U+0100 and up, in order. Vocabulary files are written in
/// them.
class ByteSymbols {
 public:
  ByteSymbols();

  std::string to_symbols(std::string_view bytes) const;
  /// Nothing when a character stands for no byte.
  std::optional<std::string> to_bytes(std::string_view symbols) const;
  /// All bytes in the order of their symbols: ids 0 to 255 of GPT-2's vocabulary.
  const std::array<uint8_t, 256>& bytes_in_order() const { return bytes_in_order_; }

 private:
  std::array<char32_t, 256> symbol_of_{};
  std::array<int16_t, 0x144> byte_of_{};
  std::array<uint8_t, 256> bytes_in_order_{};
};

}  // namespace trireme
