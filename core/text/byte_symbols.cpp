#include "core/text/byte_symbols.h"

#include "core/text/utf8.h"

namespace trireme {

ByteSymbols::ByteSymbols() {
  byte_of_.fill(-1);
  char32_t stand_in = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
    const char32_t symbol = printable ? static_cast<char32_t>(byte) : stand_in++;
    symbol_of_[byte] = symbol;
    byte_of_[symbol] = static_cast<int16_t>(byte);
  }
  size_t next = 0;
  for (const int16_t byte : byte_of_)
    if (byte >= 0) bytes_in_order_[next++] = static_cast<uint8_t>(byte);
}

std::string ByteSymbols::to_symbols(std::string_view bytes) const {
  std::string symbols;
  for (const char byte : bytes) append_utf8(symbols, symbol_of_[static_cast<unsigned char>(byte)]);
  return symbols;
}

std::optional<std::string> ByteSymbols::to_bytes(std::string_view symbols) const {
  std::string bytes;
  for (size_t position = 0; position < symbols.size();) {
    const auto symbol = next_code_point(symbols, position);
    if (!symbol || *symbol >= byte_of_.size() || byte_of_[*symbol] < 0) return std::nullopt;
    bytes.push_back(static_cast<char>(byte_of_[*symbol]));
  }
  return bytes;
}

}  // namespace trireme
