// Grafana's types of a dashboard, made strict: its own leave a panel's options, custom fields and queries open.
import type { AnnotationQuery, Dashboard, FieldConfig, FieldConfigSource, Panel, RowPanel } from '@grafana/schema/dist/esm/raw/dashboard/x/Dashboard_types.gen';
import type { Options as BarGauge } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type { FieldConfig as HeatmapCustom, Options as Heatmap } from '@grafana/schema/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type { Options as Stat } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { FieldConfig as TimelineCustom, Options as Timeline } from '@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type { FieldConfig as TableCustom, Options as Table } from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type { FieldConfig as LinesCustom, Options as Lines } from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// What JSON can hold of a type: an enum's text in place of its name.
type Plain<T> = T extends string ? `${T}` : T extends (infer E)[] ? Plain<E>[] : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;

// Grafana's type of a Prometheus query is not in the package; these are the keys in use.
interface Query {
  refId: string;
  datasource: { type: 'prometheus'; uid: string };
  expr: string;
  legendFormat?: string;
  format: 'time_series' | 'table' | 'heatmap';
  instant: boolean;
  range: boolean;
  editorMode: 'code' | 'builder';
}

interface Mark extends AnnotationQuery {
  expr: string;
  titleFormat: string;
  step: string;
  useValueForTime: boolean;
}

type Of<Type extends string, Options, Custom> = Omit<Panel, 'type' | 'options' | 'targets' | 'fieldConfig' | 'description'> & {
  type: Type;
  description: string;
  options: Options;
  targets: Query[];
  fieldConfig: Omit<FieldConfigSource, 'defaults'> & { defaults: Omit<FieldConfig, 'custom'> & { custom?: Custom } };
};

type AnyPanel =
  | Of<'bargauge', BarGauge, never>
  | Of<'heatmap', Heatmap, HeatmapCustom>
  | Of<'stat', Stat, never>
  | Of<'state-timeline', Timeline, TimelineCustom>
  | Of<'table', Table, TableCustom>
  | Of<'timeseries', Lines, LinesCustom>;

type Row = Omit<RowPanel, 'panels'> & { panels: AnyPanel[] };

type Board = Plain<Omit<Dashboard, 'panels' | 'annotations'> & { panels: (AnyPanel | Row)[]; annotations: { list: Mark[] } }>;

