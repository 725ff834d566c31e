/** The arithmetic of one cell of the matrix: each engine kind, item by item, against the budget. */

import type { Chosen } from "./fit";
import { Reckoning } from "./reckoning";
import { Cli } from "../parts/copy";
import { Drawer } from "../parts/drawer";

export function FitDetail({ chosen, workload, close }: { chosen: Chosen; workload: string; close: () => void }) {
  const node = chosen.rows[0]?.node ?? "";
  return (
    <Drawer title={`${chosen.model} on ${node}`} close={close}>
      <Cli command={`potluck fit ${chosen.model} ${workload} --node ${node}`} />
      {chosen.rows.map((row) => (
        <Reckoning key={`${row.engine} ${row.quantisation}`} row={row} />
      ))}
    </Drawer>
  );
}
