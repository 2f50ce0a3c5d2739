// Every chart is a fixed drawing area of 640 x 360 units that scales with the page; CSS variables
// give the colours, a few lines of script the hover text.
#include "sim/svg_chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>

namespace sluice {
namespace {

constexpr double kWidth = 640;
constexpr double kLeft = 64;
constexpr double kRight = 16;
constexpr double kTop = 12;
constexpr double kPlotWidth = kWidth - kLeft - kRight;
constexpr double kPlotHeight = 264;
constexpr double kAxisRoom = 46;  // below the plot: numbers and the axis' name
constexpr size_t kColours = 12;   // of series, in the style sheet
constexpr double kLegendRow = 18;

template <typename... Args>
void Append(std::string* out, fmt::format_string<Args...> text, Args&&... args) {
  fmt::format_to(std::back_inserter(*out), text, std::forward<Args>(args)...);
}

// A number as a reader wants it: few digits, no exponent where there need not be one.
std::string Number(double value, ChartUnit unit) {
  if (!std::isfinite(value)) return "–";
  if (unit == ChartUnit::kPercent) {
    const double percent = 100 * value;
    return fmt::format("{:.{}f} %", percent, std::abs(percent) < 10 ? 1 : 0);
  }
  const double size = std::abs(value);
  if (size >= 1e9) return fmt::format("{:.3g} G", value / 1e9);
  if (size >= 1e6) return fmt::format("{:.3g} M", value / 1e6);
  if (size >= 1e4) return fmt::format("{:.3g} k", value / 1e3);
  return fmt::format("{:.4g}", value);
}

// 1, 2 or 5 times a power of ten (or 25, 250, ...), so that at most six or seven steps make
// `range`.
double NiceStep(double range) {
  const double rough = range / 6;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (factor == 2.5 && power < 10) continue;  // axes of whole numbers stay so
    if (rough <= factor * power * 1.0001) return factor * power;
  }
  return 10 * power;
}

class Axis {
 public:
  Axis() = default;
  Axis(double low, double high, Scale scale) : low_(low), high_(high), scale_(scale) {
    if (scale_ == Scale::kLog2 && low_ <= 0) low_ = 1;
    if (!(high_ > low_)) high_ = low_ + 1;
  }
  double high() const { return high_; }
  // 0 at the low end, 1 at the high one.
  double At(double value) const {
    if (scale_ == Scale::kLog2) {
      return std::log2(std::max(value, low_) / low_) / std::log2(high_ / low_);
    }
    return (value - low_) / (high_ - low_);
  }
  std::vector<double> Ticks() const {
    std::vector<double> ticks;
    if (scale_ == Scale::kLog2) {
      const auto last = static_cast<int>(std::floor(std::log2(high_ * 1.0001)));
      for (auto power = static_cast<int>(std::ceil(std::log2(low_))); power <= last; ++power) {
        ticks.push_back(std::exp2(power));
      }
      return ticks;
    }
    const double step = NiceStep(high_ - low_);
    const auto last = static_cast<int64_t>(std::floor(high_ / step + 1e-6));
    for (auto i = static_cast<int64_t>(std::ceil(low_ / step)); i <= last; ++i) {
      ticks.push_back(static_cast<double>(i) * step);
    }
    return ticks;
  }

 private:
  double low_ = 0;
  double high_ = 1;
  Scale scale_ = Scale::kLinear;
};

// From 0 up to a round number that covers `highest`.
Axis ValueAxis(double highest, ChartUnit unit) {
  if (!(highest > 0)) highest = 1;
  const double step = NiceStep(highest);
  double top = std::ceil(highest / step * 0.9999) * step;
  if (unit == ChartUnit::kPercent && highest <= 1) top = std::min(top, 1.0);
  return {0, top, Scale::kLinear};
}

// The frame of a figure: title, drawing, help.
std::string Figure(const ChartText& text, double height, const std::string& drawing) {
  std::string out = "<figure>";
  Append(&out, "<figcaption><b>{}</b></figcaption>", EscapeHtml(text.title));
  Append(&out, "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{}</svg>", kWidth, height,
         EscapeHtml(text.title), drawing);
  Append(&out, "<p class=\"help\">{}</p></figure>\n", EscapeHtml(text.help));
  return out;
}

void AxisNames(const ChartText& text, double plot_height, std::string* out) {
  Append(out, "<text class=\"name\" x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"middle\">{}</text>",
         kLeft + kPlotWidth / 2, kTop + plot_height + kAxisRoom - 6, EscapeHtml(text.x_axis));
  Append(out,
         "<text class=\"name\" transform=\"translate(14 {:.0f}) rotate(-90)\" "
         "text-anchor=\"middle\">{}</text>",
         kTop + plot_height / 2, EscapeHtml(text.y_axis));
}

void ValueGrid(const Axis& axis, ChartUnit unit, std::string* out) {
  for (const double tick : axis.Ticks()) {
    const double y = kTop + kPlotHeight * (1 - axis.At(tick));
    Append(out, "<path class=\"grid\" d=\"M{} {:.1f}H{}\"/>", kLeft, y, kLeft + kPlotWidth);
    Append(out, "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", kLeft - 6, y + 4,
           unit == ChartUnit::kPercent ? fmt::format("{:.0f} %", 100 * tick) : Number(tick, unit));
  }
}

void BottomTicks(const Axis& axis, std::string* out) {
  for (const double tick : axis.Ticks()) {
    const double x = kLeft + kPlotWidth * axis.At(tick);
    Append(out, "<path class=\"tick\" d=\"M{:.1f} {}v4\"/>", x, kTop + kPlotHeight);
    Append(out, "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>", x,
           kTop + kPlotHeight + 17, Number(tick, ChartUnit::kPlain));
  }
}

// Names of series under the axis, three in a row; the height that they take.
double Legend(const std::vector<ChartSeries>& series, std::string* out) {
  if (series.size() < 2) return 0;
  constexpr size_t kPerRow = 3;
  const double top = kTop + kPlotHeight + kAxisRoom + 10;
  for (size_t i = 0; i < series.size(); ++i) {
    const double x = kLeft + static_cast<double>(i % kPerRow) * (kPlotWidth / kPerRow);
    const size_t row = i / kPerRow;
    const double y = top + kLegendRow * static_cast<double>(row);
    Append(
        out,
        "<path class=\"s{}{}\" d=\"M{:.0f} {:.0f}h22\"/><text x=\"{:.0f}\" y=\"{:.0f}\">{}</text>",
        i % kColours, series[i].dashed ? " dashed" : "", x, y, x + 28, y + 4,
        EscapeHtml(series[i].name));
  }
  const size_t rows = (series.size() + kPerRow - 1) / kPerRow;
  return 14 + kLegendRow * static_cast<double>(rows);
}

void Curve(const ChartSeries& series, size_t number, const Axis& x_axis, const Axis& y_axis,
           std::string* out) {
  std::string path;
  bool pen_down = false;
  for (const auto& [x, y] : series.points) {
    if (!std::isfinite(x) || !std::isfinite(y)) {
      pen_down = false;
      continue;
    }
    Append(&path, "{}{:.1f} {:.1f}", pen_down ? "L" : "M", kLeft + kPlotWidth * x_axis.At(x),
           kTop + kPlotHeight * (1 - y_axis.At(std::min(y, y_axis.high()))));
    pen_down = true;
  }
  Append(out, "<path class=\"s{}{}\" d=\"{}\"/>", number % kColours, series.dashed ? " dashed" : "",
         path);
}

// Small dots that carry the hover text; too many would cover the curve.
void Dots(const LineChart& chart, const Axis& x_axis, const Axis& y_axis, std::string* out) {
  constexpr size_t kMostDots = 80;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    const ChartSeries& series = chart.series[i];
    if (series.dashed) continue;
    const bool visible = series.points.size() <= kMostDots;
    const size_t stride = 1 + series.points.size() / (4 * kMostDots);
    for (size_t p = 0; p < series.points.size(); p += stride) {
      const auto& [x, y] = series.points[p];
      if (!std::isfinite(x) || !std::isfinite(y)) continue;
      Append(out, "<circle class=\"f{}{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{}\" data-t=\"{}\"/>",
             i % kColours, visible ? "" : " hidden", kLeft + kPlotWidth * x_axis.At(x),
             kTop + kPlotHeight * (1 - y_axis.At(std::min(y, y_axis.high()))), visible ? 3 : 6,
             EscapeHtml(fmt::format("{}: {} at {}", series.name, Number(y, chart.y_unit),
                                    Number(x, ChartUnit::kPlain))));
    }
  }
}

struct AxisRange {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void Add(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

void Ranges(const std::vector<ChartSeries>& series, AxisRange* x, AxisRange* y) {
  for (const ChartSeries& one : series) {
    for (const auto& point : one.points) {
      x->Add(point.first);
      y->Add(point.second);
    }
  }
  if (!std::isfinite(x->low)) *x = {.low = 0, .high = 1};
}

// Steps between the page's colour and that of full values. A little curved, since small values
// differ more to the eye.
constexpr int kHeatLevels = 32;
int HeatLevel(double share) {
  share = std::clamp(std::isfinite(share) ? share : 0.0, 0.0, 1.0);
  return static_cast<int>(std::lround(std::pow(share, 0.7) * kHeatLevels));
}

// All cells of a level are one path, in units of cells; neighbours are joined.
void HeatCells(const HeatMap& map, double maximum, std::string* out) {
  std::array<std::string, kHeatLevels + 1> paths;
  for (size_t row = 0; row < map.rows; ++row) {
    const double* const values = map.values.data() + row * map.columns;
    for (size_t begin = 0; begin < map.columns;) {
      const int level = HeatLevel(values[begin] / maximum);
      size_t end = begin + 1;
      while (end < map.columns && HeatLevel(values[end] / maximum) == level) ++end;
      if (level > 0) {
        Append(&paths[static_cast<size_t>(level)], "M{} {}h{}v1h-{}z", begin, row, end - begin,
               end - begin);
      }
      begin = end;
    }
  }
  for (size_t level = 1; level < paths.size(); ++level) {
    if (paths[level].empty()) continue;
    Append(out, "<path opacity=\"{:.2f}\" d=\"{}\"/>", static_cast<double>(level) / kHeatLevels,
           paths[level]);
  }
}

// What the script needs to say which cell the pointer is on.
void HeatHover(const HeatMap& map, double height, std::string* out) {
  Append(out,
         "<rect class=\"cells\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{:.1f}\" data-rows=\"{}\" "
         "data-columns=\"{}\" data-row=\"{}\" data-column=\"{}\" data-name=\"{}{}\" data-values=\"",
         kLeft, kTop, kPlotWidth, height, map.rows, map.columns, EscapeHtml(map.row_name),
         EscapeHtml(map.column_name), map.unit == ChartUnit::kPercent ? "% " : "",
         EscapeHtml(map.value_name));
  for (size_t i = 0; i < map.values.size(); ++i) {
    const double value = map.unit == ChartUnit::kPercent ? 100 * map.values[i] : map.values[i];
    Append(out, "{}{:.3g}", i == 0 ? "" : " ", value);
  }
  *out += "\"/>";
}

void HeatLabels(const HeatMap& map, double cell_width, double cell_height, std::string* out) {
  const auto stride = [](size_t count) { return std::max<size_t>(1, (count + 15) / 16); };
  for (size_t row = 0; row < map.rows; row += stride(map.rows)) {
    Append(out, "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", kLeft - 6,
           kTop + cell_height * (static_cast<double>(row) + 0.5) + 4, row);
  }
  for (size_t column = 0; column < map.columns; column += stride(map.columns)) {
    Append(out, "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>",
           kLeft + cell_width * (static_cast<double>(column) + 0.5),
           kTop + cell_height * static_cast<double>(map.rows) + 15, column);
  }
}

// What the colours mean.
void HeatKey(const HeatMap& map, double maximum, double y, std::string* out) {
  constexpr double kStepWidth = 6;
  for (int level = 0; level <= kHeatLevels; ++level) {
    const double share = std::pow(static_cast<double>(level) / kHeatLevels, 1 / 0.7);
    Append(out,
           "<rect class=\"heat\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{}\" height=\"10\" "
           "opacity=\"{:.2f}\" data-t=\"{}\"/>",
           kLeft + kStepWidth * level, y, kStepWidth, static_cast<double>(level) / kHeatLevels,
           Number(share * maximum, map.unit));
  }
  Append(out, "<text x=\"{:.1f}\" y=\"{:.1f}\">0 to {} {}</text>",
         kLeft + kStepWidth * (kHeatLevels + 1) + 10, y + 9, Number(maximum, map.unit),
         EscapeHtml(map.value_name));
}

std::string EventText(const Timeline& timeline, size_t number) {
  const TimelineEvent& event = timeline.events[number];
  return fmt::format("{}, at {} {:.6g}", event.label, timeline.text.x_axis, event.x);
}

void Marks(const Timeline& timeline, const Axis& x_axis, std::string* out) {
  for (size_t i = 0; i < timeline.events.size(); ++i) {
    const double at = kLeft + kPlotWidth * x_axis.At(timeline.events[i].x);
    const std::string text = EscapeHtml(EventText(timeline, i));
    Append(out, "<path class=\"event\" d=\"M{:.1f} {}v{}\" data-t=\"{}\"/>", at, kTop, kPlotHeight,
           text);
    Append(out, "<path class=\"mark\" d=\"M{:.1f} {}l-5 -9h10z\" data-t=\"{}\"/>", at, kTop + 9,
           text);
  }
}

// The first events in words, for readers without a pointer; the height that they take.
double EventList(const Timeline& timeline, double top, std::string* out) {
  constexpr size_t kMost = 6;
  const size_t shown = std::min(timeline.events.size(), kMost);
  for (size_t i = 0; i < shown; ++i) {
    const double at = top + kLegendRow * static_cast<double>(i) + 4;
    Append(out,
           "<path class=\"mark\" d=\"M{} {:.0f}l-5 -9h10z\"/><text x=\"{}\" y=\"{:.0f}\">{}</text>",
           kLeft + 6, at, kLeft + 18, at, EscapeHtml(EventText(timeline, i)));
  }
  if (shown == timeline.events.size()) return kLegendRow * static_cast<double>(shown);
  Append(out, "<text x=\"{}\" y=\"{:.0f}\">and {} more</text>", kLeft + 18,
         top + kLegendRow * static_cast<double>(shown) + 4, timeline.events.size() - shown);
  return kLegendRow * static_cast<double>(shown + 1);
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string DrawLines(const LineChart& chart) {
  AxisRange x;
  AxisRange y;
  Ranges(chart.series, &x, &y);
  const Axis x_axis(chart.x_scale == Scale::kLinear ? std::min(x.low, 0.0) : x.low, x.high,
                    chart.x_scale);
  const Axis y_axis = ValueAxis(chart.y_max > 0 ? chart.y_max : y.high, chart.y_unit);
  std::string out;
  ValueGrid(y_axis, chart.y_unit, &out);
  BottomTicks(x_axis, &out);
  AxisNames(chart.text, kPlotHeight, &out);
  // The first one on top.
  for (size_t i = chart.series.size(); i-- > 0;) Curve(chart.series[i], i, x_axis, y_axis, &out);
  Dots(chart, x_axis, y_axis, &out);
  const double legend = Legend(chart.series, &out);
  return Figure(chart.text, kTop + kPlotHeight + kAxisRoom + legend, out);
}

std::string DrawBars(const BarChart& chart) {
  double highest = chart.reference;
  for (const double value : chart.values) {
    if (std::isfinite(value)) highest = std::max(highest, value);
  }
  const Axis axis = ValueAxis(highest, chart.y_unit);
  std::string out;
  ValueGrid(axis, chart.y_unit, &out);
  AxisNames(chart.text, kPlotHeight, &out);
  const size_t bars = std::max<size_t>(chart.values.size(), 1);
  const double pitch = kPlotWidth / static_cast<double>(bars);
  const double gap = pitch > 6 ? 2 : pitch > 3 ? 0.5 : 0;
  // As many labels as there is room for.
  size_t longest = 1;
  for (const std::string& label : chart.labels) longest = std::max(longest, label.size());
  constexpr double kCharacterWidth = 7;
  const double label_width = kCharacterWidth * static_cast<double>(longest) + 8;
  const auto label_stride = static_cast<size_t>(std::max(1.0, std::ceil(label_width / pitch)));
  for (size_t i = 0; i < chart.values.size(); ++i) {
    const double value = std::isfinite(chart.values[i]) ? chart.values[i] : 0;
    const double height = kPlotHeight * axis.At(value);
    const double x = kLeft + pitch * static_cast<double>(i);
    const std::string label = i < chart.labels.size() ? chart.labels[i] : "";
    Append(&out,
           "<rect class=\"f0\" x=\"{:.2f}\" y=\"{:.1f}\" width=\"{:.2f}\" height=\"{:.1f}\" "
           "data-t=\"{}\"/>",
           x + gap / 2, kTop + kPlotHeight - height, pitch - gap, height,
           EscapeHtml(fmt::format("{}: {} {}", label, Number(chart.values[i], chart.y_unit),
                                  chart.value_name)));
    if (i % label_stride == 0) {
      Append(&out, "<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>", x + pitch / 2,
             kTop + kPlotHeight + 17, EscapeHtml(label));
    }
  }
  if (chart.reference > 0) {
    const double y = kTop + kPlotHeight * (1 - axis.At(chart.reference));
    Append(&out, "<path class=\"s1 dashed\" d=\"M{} {:.1f}h{}\"/>", kLeft, y, kPlotWidth);
    Append(&out, "<text class=\"halo\" x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>",
           kLeft + kPlotWidth - 4, y - 5, EscapeHtml(chart.reference_name));
  }
  return Figure(chart.text, kTop + kPlotHeight + kAxisRoom, out);
}

std::string DrawHeatMap(const HeatMap& map) {
  constexpr double kMostHeight = 560;
  constexpr double kRowHeight = 14;
  if (map.rows == 0 || map.columns == 0 || map.values.size() != map.rows * map.columns) return "";
  // Square cells for square tables; else rows that can be told apart.
  const double wanted =
      map.rows == map.columns ? kPlotWidth : static_cast<double>(map.rows) * kRowHeight;
  const double height = std::clamp(wanted, 80.0, kMostHeight);
  const double cell_width = kPlotWidth / static_cast<double>(map.columns);
  const double cell_height = height / static_cast<double>(map.rows);
  double maximum = map.maximum;
  for (const double value : map.values) {
    if (map.maximum <= 0 && std::isfinite(value)) maximum = std::max(maximum, value);
  }
  if (!(maximum > 0)) maximum = 1;
  std::string out;
  Append(&out,
         "<g class=\"heat\" shape-rendering=\"crispEdges\" transform=\"translate({} {}) "
         "scale({:.5f} {:.5f})\">",
         kLeft, kTop, cell_width, cell_height);
  HeatCells(map, maximum, &out);
  out += "</g>";
  HeatHover(map, height, &out);
  HeatLabels(map, cell_width, cell_height, &out);
  AxisNames(map.text, height, &out);
  HeatKey(map, maximum, kTop + height + kAxisRoom + 6, &out);
  return Figure(map.text, kTop + height + kAxisRoom + 24, out);
}

std::string DrawTimeline(const Timeline& timeline) {
  AxisRange x;
  AxisRange y;
  Ranges(timeline.series, &x, &y);
  for (const TimelineEvent& event : timeline.events) x.Add(event.x);
  const Axis x_axis(x.low, x.high, Scale::kLinear);
  const Axis y_axis = ValueAxis(y.high, timeline.y_unit);
  std::string out;
  ValueGrid(y_axis, timeline.y_unit, &out);
  BottomTicks(x_axis, &out);
  AxisNames(timeline.text, kPlotHeight, &out);
  for (size_t i = 0; i < timeline.series.size(); ++i) {
    Curve(timeline.series[i], i, x_axis, y_axis, &out);
  }
  const LineChart hover{.series = timeline.series, .y_unit = timeline.y_unit};
  Dots(hover, x_axis, y_axis, &out);
  Marks(timeline, x_axis, &out);
  double below = kTop + kPlotHeight + kAxisRoom + Legend(timeline.series, &out);
  below += EventList(timeline, below, &out);
  return Figure(timeline.text, below, out);
}

}  // namespace sluice
