#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "parallel/pipeline/timeline.h"

namespace trireme {
namespace {

// Pixels.
constexpr double kLeft = 124, kTop = 58, kPlotWidth = 1080, kRight = 20, kBottom = 30;
constexpr double kRow = 28, kBox = 24, kThinBox = 4, kDigit = 7, kSwatch = 12;

struct Color {
  int red, green, blue;
};

/// Light enough for dark numbers, strong enough for white and for black paper.
constexpr std::array<Color, Action::kNumKinds> kColors = {{{110, 168, 254},
                                                           {117, 201, 143},
                                                           {117, 201, 143},
                                                           {250, 176, 98},
                                                           {150, 150, 150},
                                                           {150, 150, 150},
                                                           {150, 150, 150},
                                                           {150, 150, 150}}};

/// "1.5 ms".
std::string duration(double seconds) {
  const double size = std::abs(seconds);
  if (size >= 1 || size == 0) return fmt::format("{:.4g} s", seconds);
  return size >= 1e-3 ? fmt::format("{:.4g} ms", seconds * 1e3) : fmt::format("{:.4g} us", seconds * 1e6);
}

/// 1, 2 or 5 times a power of ten, about a tenth of `seconds`.
double tick_step(double seconds) {
  const double power = std::pow(10, std::floor(std::log10(seconds / 10)));
  const double factor = seconds / 10 / power;
  return power * (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10);
}

std::string text(double x, double y, const char* anchor, const std::string& words,
                 const char* fill = "#808080") {
  return fmt::format(
      "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" fill=\"{}\" pointer-events=\"none\">{}</text>\n", x,
      y, anchor, fill, words);
}

std::string rectangle(double x, double y, double width, double height, const std::string& fill,
                      const std::string& title) {
  return fmt::format(
      "<rect x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{:.1f}\" "
      "fill=\"{}\"><title>{}</title></rect>\n",
      x, y, width, height, fill, title);
}

class Picture {
 public:
  explicit Picture(const Timeline& timeline)
      : timeline_(timeline), stages_(stages_of(timeline)), span_(span_of(timeline)) {
    int row = 0;
    for (const auto& [rank, stage] : stages_) tops_[rank] = kTop + kRow * row++;
    bottom_ = kTop + kRow * row;
    for (const TimelineEvent& event : timeline) num_chunks_ = std::max(num_chunks_, event.action.chunk + 1);
  }

  std::string draw() const {
    const double width = kLeft + kPlotWidth + kRight, height = bottom_ + kBottom;
    std::string svg = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
        "font-family=\"sans-serif\" font-size=\"12\">\n",
        width, height);
    svg += text(kLeft, 18, "start",
                fmt::format("{} ranks, {}, bubble {:.1f} %. Thin: send or receive.{}", stages_.size(),
                            duration(span_.seconds()), 100 * bubble_fraction(timeline_),
                            num_chunks_ > 1 ? " Paler: later chunks." : ""));
    return svg + legend() + axis() + rows() + "</svg>\n";
  }

 private:
  std::string legend() const {
    std::set<Action::Kind> kinds;
    for (const TimelineEvent& event : timeline_)
      if (!is_transfer(event.action.kind)) kinds.insert(event.action.kind);
    std::string svg;
    double left = kLeft;
    for (const Action::Kind kind : kinds) {
      svg += rectangle(left, 30, kSwatch, kSwatch, color_of({kind, 0, 0}), name_of(kind));
      svg += text(left + 18, 40, "start", name_of(kind));
      left += 130;
    }
    return svg;
  }

  std::string axis() const {
    if (span_.seconds() <= 0) return "";
    std::string svg;
    const double step = tick_step(span_.seconds());
    for (int i = 0; i * step <= span_.seconds(); ++i) {
      const double at = x(span_.begin + i * step);
      svg += fmt::format("<path d=\"M{:.1f} {}V{}\" stroke=\"#80808040\"/>\n", at, kTop, bottom_ + 4);
      svg += text(at, bottom_ + 18, "middle", duration(i * step));
    }
    return svg;
  }

  std::string rows() const {
    std::string svg;
    for (const auto& [rank, stage] : stages_)
      svg += text(kLeft - 8, tops_.at(rank) + 17, "end", fmt::format("rank {}, stage {}", rank, stage));
    for (const TimelineEvent& event : timeline_) svg += box(event);
    return svg;
  }

  std::string box(const TimelineEvent& event) const {
    const bool thin = is_transfer(event.action.kind);
    const double left = x(event.begin), width = x(event.end) - left, top = tops_.at(event.rank);
    if (thin && width < 0.5) return "";
    const std::string title =
        fmt::format("{}: {}, from {} on", describe(event.action), duration(event.end - event.begin),
                    duration(event.begin - span_.begin));
    const double height = thin ? kThinBox : kBox;
    // A gap between neighbours, unless it would eat the box.
    std::string svg = rectangle(left, top + (kRow - height) / 2, std::max(width - 0.8, width / 2), height,
                                color_of(event.action), title);
    const std::string number = std::to_string(event.action.micro_batch);
    if (!thin && width > kDigit * static_cast<double>(number.size() + 1))
      svg += text(left + width / 2, top + 18, "middle", number, "#101010");
    return svg;
  }

  std::string color_of(const Action& action) const {
    const double white =
        num_chunks_ > 1 && !is_transfer(action.kind) ? 0.6 * action.chunk / (num_chunks_ - 1) : 0;
    const auto mix = [&](int part) { return static_cast<int>(std::lround(part + white * (255 - part))); };
    const Color& color = kColors[static_cast<size_t>(action.kind)];
    return fmt::format("#{:02x}{:02x}{:02x}", mix(color.red), mix(color.green), mix(color.blue));
  }

  double x(double time) const {
    return kLeft + (span_.seconds() > 0 ? kPlotWidth * (time - span_.begin) / span_.seconds() : 0);
  }

  const Timeline& timeline_;
  std::map<int, int> stages_;
  TimeSpan span_;
  std::map<int, double> tops_;  ///< of each rank's row
  double bottom_ = 0;           ///< of the last row
  int num_chunks_ = 1;
};

}  // namespace

std::string to_svg(const Timeline& timeline) {
  return Picture(timeline).draw();
}

}  // namespace trireme
