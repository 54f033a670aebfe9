// Draws one dashboard with Grafana's own components, from its JSON and the results of its queries.
// @grafana/ui has no heatmap component: heatmaps are drawn here.
import '@fontsource/inter/latin-400.css';
import '@fontsource/inter/latin-500.css';
import { createTheme, dateTime, EventBusSrv, FieldType, getDisplayProcessor, ThemeContext } from '@grafana/data';
import { BigValue, GlobalStyles, PanelChrome, PanelContextProvider, Table, TimeSeries } from '@grafana/ui';
import { useEffect, useRef } from 'react';
import { createRoot } from 'react-dom/client';

const { dashboard, results, from_ms: fromMs, to_ms: toMs } = window.PREVIEW;
const eventBus = new EventBusSrv();
const theme = createTheme({ colors: { mode: 'dark' } });
const COLUMN = 1600 / 24;
const ROW = 38;
const GAP = 8;
const PADDING = 8;
const HEADER = 40;
const MINUTE_MS = 60_000;
const TICKS_MINUTES = [1, 2, 5, 10, 15, 30, 60];
const timeRange = { from: dateTime(fromMs), to: dateTime(toMs), raw: { from: dateTime(fromMs), to: dateTime(toMs) } };

const nameOf = (target, labels) =>
  (target.legendFormat || '').replace(/{{\s*(\w+)\s*}}/g, (_, label) => labels[label] ?? '');

function configOf(panel, name) {
  const { defaults, overrides } = panel.fieldConfig;
  const config = { ...structuredClone(defaults), displayName: name };
  config.custom = { ...defaults.custom };
  for (const { matcher, properties } of overrides) {
    if (matcher.id === 'byName' && matcher.options === name) {
      for (const { id, value } of properties) {
        id.startsWith('custom.') ? (config.custom[id.slice(7)] = value) : (config[id] = value);
      }
    }
  }
  if (config.thresholds) {
    config.thresholds.steps = config.thresholds.steps.map((step) => ({ ...step, value: step.value ?? -Infinity }));
  }
  return config;
}

function fieldOf(panel, name, type, values, labels) {
  const field = { name, type, values, labels, config: configOf(panel, name), state: {} };
  field.display = getDisplayProcessor({ field, theme, timeZone: 'utc' });
  return field;
}

function framesOf(panel) {
  return panel.targets.flatMap((target) =>
    results[`${panel.id}${target.refId}`].map(({ labels, points }) => {
      const time = { name: 'Time', type: FieldType.time, config: {}, values: points.map(([at]) => at * 1000) };
      const values = points.map(([, value]) => (value === 'NaN' ? null : Number(value)));
      return {
        refId: target.refId,
        length: points.length,
        fields: [time, fieldOf(panel, nameOf(target, labels), FieldType.number, values, labels)],
      };
    })
  );
}

function Stat({ panel, width, height }) {
  const [, field] = framesOf(panel)[0].fields;
  const { graphMode, colorMode, textMode } = panel.options;
  const value = field.display(field.values.findLast((each) => each !== null));
  return <BigValue {...{ theme, width, height, graphMode, colorMode, textMode, value }} />;
}

function Lines({ panel, width, height }) {
  const frames = framesOf(panel);
  frames.forEach((frame, frameIndex) => {
    const field = frame.fields[1];
    field.state = { seriesIndex: frameIndex, origin: { frameIndex, fieldIndex: 1 }, displayName: field.config.displayName };
    field.display = getDisplayProcessor({ field, theme, timeZone: 'utc' });
  });
  const { legend } = panel.options;
  return (
    <PanelContextProvider value={{ eventBus, eventsScope: 'preview', sync: () => 0 }}>
      <TimeSeries {...{ frames, timeRange, width, height, legend }} timeZone="utc" options={panel.options}>
        {(config) => {
          config.addHook('draw', (plot) => drawExemplars(plot, results[`${panel.id}exemplars`] ?? []));
          return null;
        }}
      </TimeSeries>
    </PanelContextProvider>
  );
}

// Values beyond the axis are drawn on its edge, as in Grafana.
function drawExemplars({ ctx, bbox, scales, series, valToPos }, exemplars) {
  const { min, max } = scales[series[1].scale];
  ctx.fillStyle = theme.colors.text.secondary;
  for (const [at, value] of exemplars) {
    const x = valToPos(at * 1000, 'x', true);
    if (x >= bbox.left && x <= bbox.left + bbox.width) {
      ctx.beginPath();
      ctx.arc(x, valToPos(Math.min(Math.max(value, min), max), series[1].scale, true), 2, 0, 7);
      ctx.fill();
    }
  }
}

function Rows({ panel, width, height }) {
  const organize = panel.transformations.find(({ id }) => id === 'organize').options;
  const label = Object.entries(organize.indexByName).find(([, place]) => place === 0)[0];
  const keys = [...new Set(panel.targets.flatMap(({ refId }) => results[`${panel.id}${refId}`].map((s) => s.labels[label])))];
  const columns = panel.targets.map(({ refId }) => {
    const byKey = new Map(results[`${panel.id}${refId}`].map((s) => [s.labels[label], Number(s.points.at(-1)[1])]));
    return { name: organize.renameByName[`Value #${refId}`], values: keys.map((key) => byKey.get(key) ?? null) };
  });
  const order = keys.map((_, place) => place).sort((a, b) => columns[0].values[b] - columns[0].values[a]);
  const sorted = (values) => order.map((place) => values[place]);
  const fields = [
    fieldOf(panel, organize.renameByName[label], FieldType.string, sorted(keys)),
    ...columns.map(({ name, values }) => fieldOf(panel, name, FieldType.number, sorted(values))),
  ];
  fields.forEach((field) => (field.config.links = undefined));
  return <Table data={{ fields, length: keys.length }} {...{ width, height }} columnMinWidth={100} />;
}

function Heatmap({ panel, width, height }) {
  const canvas = useRef(null);
  useEffect(() => {
    const buckets = results[`${panel.id}A`]
      .map(({ labels, points }) => ({ le: Number(labels.le.replace('+Inf', 'Infinity')), points }))
      .sort((a, b) => a.le - b.le);
    const context = canvas.current.getContext('2d');
    const left = 60, bottom = 22, top = 6;
    const rowHeight = (height - bottom - top) / buckets.length;
    const step = (buckets[0].points[1]?.[0] - buckets[0].points[0][0]) * 1000 || 1000;
    const x = (ms) => left + ((ms - fromMs) / (toMs - fromMs)) * (width - left);
    const format = fieldOf(panel, '', FieldType.number, []).display;
    const cells = buckets.map(({ points }, row) =>
      points.map(([at, value], place) => [at * 1000, Number(value) - Number(buckets[row - 1]?.points[place]?.[1] ?? 0)])
    );
    const most = Math.max(...cells.flat().map(([, value]) => value || 0)) || 1;
    context.font = '12px Inter, Helvetica, Arial, sans-serif';
    cells.forEach((row, place) => {
      const y = height - bottom - (place + 1) * rowHeight;
      row.forEach(([ms, value]) => {
        if (value > 1e-9) {
          const strength = Math.sqrt(value / most);
          context.fillStyle = `rgb(${22 + 60 * strength},${42 + 130 * strength},${85 + 170 * strength})`;
          context.fillRect(x(ms) + 0.5, y + 0.5, Math.max((step / (toMs - fromMs)) * (width - left) - 1, 1), rowHeight - 1);
        }
      });
      context.fillStyle = theme.colors.text.secondary;
      const { le } = buckets[place];
      const shown = format(le);
      context.fillText(le === Infinity ? '+Inf' : `${shown.text}${shown.suffix ?? ''}`, 2, y + 5);
    });
    context.fillStyle = theme.colors.text.secondary;
    const minutes = (toMs - fromMs) / MINUTE_MS;
    const apartMs = (TICKS_MINUTES.find((apart) => minutes / apart <= 8) ?? minutes / 8) * MINUTE_MS;
    for (let ms = Math.ceil(fromMs / apartMs) * apartMs; x(ms) < width - 15; ms += apartMs) {
      context.fillText(new Date(ms).toISOString().slice(11, 16), x(ms) - 15, height - 6);
    }
    context.fillStyle = theme.visualization.getColorByName('orange');
    for (const [at, value] of results[`${panel.id}exemplars`] ?? []) {
      const row = buckets.findIndex(({ le }) => value <= le);
      context.beginPath();
      context.arc(x(at * 1000), height - bottom - (row + 0.5) * rowHeight, 3, 0, 7);
      context.fill();
    }
  });
  return <canvas ref={canvas} {...{ width, height }} />;
}

const KINDS = { stat: Stat, timeseries: Lines, table: Rows, heatmap: Heatmap };

function Panel({ panel }) {
  const { x, y, w, h } = panel.gridPos;
  const style = { position: 'absolute', left: x * COLUMN + GAP / 2, top: y * ROW };
  const width = w * COLUMN - GAP;
  const height = h * ROW - GAP;
  if (panel.type === 'row') {
    return <h5 style={{ ...style, width, lineHeight: `${ROW}px`, margin: 0 }}>⌄ {panel.title}</h5>;
  }
  const Kind = KINDS[panel.type];
  const isEmpty = panel.targets.every(({ refId }) => results[`${panel.id}${refId}`].length === 0);
  return (
    <div style={style}>
      <PanelChrome title={panel.title} width={width} height={height}>
        {(innerWidth, innerHeight) =>
          isEmpty ? <div>No data</div> : <Kind panel={panel} width={innerWidth} height={innerHeight} />
        }
      </PanelChrome>
    </div>
  );
}

const tall = Math.max(...dashboard.panels.map(({ gridPos }) => gridPos.y + gridPos.h)) * ROW;
// The width of an axis depends on its text: wait for the font before drawing.
await Promise.all(['400 12px Inter', '500 12px Inter'].map((font) => document.fonts.load(font)));
createRoot(document.getElementById('dashboard')).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <div style={{ position: 'relative', width: 1600, height: HEADER + tall, background: theme.colors.background.canvas }}>
      <div style={{ padding: PADDING, display: 'flex', justifyContent: 'space-between' }}>
        <h4>{dashboard.title}</h4>
        <span style={{ color: theme.colors.text.secondary }}>
          preview: generated JSON and live data from Prometheus, drawn with @grafana/ui; not a screenshot of Grafana
        </span>
      </div>
      <div style={{ position: 'absolute', top: HEADER, left: 0 }}>
        {dashboard.panels.map((panel) => (
          <Panel key={panel.id} panel={panel} />
        ))}
      </div>
    </div>
  </ThemeContext.Provider>
);
