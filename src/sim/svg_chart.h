// Charts as SVG inside a self-contained HTML page: plain series in, text out. Colours follow the
// reader's light or dark theme; every figure has a title, labelled axes and a sentence that says
// how to read it.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice {

struct ChartText {
  std::string title;
  std::string help;    // one sentence: how to read the figure
  std::string x_axis;  // with its unit
  std::string y_axis;
};

enum class Scale { kLinear, kLog2 };
enum class ChartUnit { kPlain, kPercent };  // kPercent: values are shares, 1 is 100 %

// Values that are not finite are gaps.
struct ChartSeries {
  std::string name;
  std::vector<std::pair<double, double>> points;  // x ascending
  bool dashed = false;                            // a bound or a reference, not a result
};
struct LineChart {
  ChartText text;
  std::vector<ChartSeries> series;  // at most 12 are told apart by colour
  Scale x_scale = Scale::kLinear;
  ChartUnit y_unit = ChartUnit::kPlain;
  double y_max = 0;  // 0: as the values need
};
std::string DrawLines(const LineChart& chart);

struct BarChart {
  ChartText text;
  std::vector<std::string> labels;  // one per bar; sparsely shown where there are many
  std::vector<double> values;       // >= 0
  std::string value_name;           // in the hover text
  ChartUnit y_unit = ChartUnit::kPlain;
  double reference = 0;  // a line across; 0: none
  std::string reference_name;
};
std::string DrawBars(const BarChart& chart);

struct HeatMap {
  ChartText text;
  size_t rows = 0;
  size_t columns = 0;
  std::vector<double> values;  // [rows, columns], >= 0; row 0 at the top
  std::string value_name;      // of the colour, with its unit
  ChartUnit unit = ChartUnit::kPlain;
  double maximum = 0;       // what is full colour; 0: the highest value
  std::string row_name;     // of one, in the hover text: "layer"
  std::string column_name;  // "expert"
};
std::string DrawHeatMap(const HeatMap& map);

struct TimelineEvent {
  double x = 0;
  std::string label;
};
struct Timeline {
  ChartText text;
  std::vector<ChartSeries> series;
  std::vector<TimelineEvent> events;  // marks across all series
  ChartUnit y_unit = ChartUnit::kPlain;
};
std::string DrawTimeline(const Timeline& timeline);

// A page from its parts, in order. Nothing is loaded from elsewhere.
class HtmlReport {
 public:
  explicit HtmlReport(std::string title) : title_(std::move(title)) {}

  void AddHeading(std::string_view text);
  void AddParagraph(std::string_view text);
  // The first row is the header; cells of later rows are aligned right but for the first.
  void AddTable(const std::vector<std::vector<std::string>>& rows);
  // What a Draw... function gave. Figures beside each other where there is room.
  void AddFigure(const std::string& svg);
  std::string Finish() const;

 private:
  void CloseFigures();

  std::string title_;
  std::string body_;
  bool in_figures_ = false;
};

// For text inside HTML: & < > and quotes escaped.
std::string EscapeHtml(std::string_view text);

}  // namespace sluice
