/** How a space stands, in badges: the same in the list and on its own page. */

import { Badge } from "../parts/badge";
import { everyone } from "../parts/grants";
import { count, plural } from "../parts/words";
import type { Space } from "../wire/knowledge";

/** Its privacy class, and whether what is in it is somebody else's work. */
export function Kind({ space }: { space: Space }) {
  return (
    <span class="kinds">
      <span class="chip">{space.potluck.data_class}</span>
      {space.potluck.licence && <Badge state="licensed" tone="warn" />}
      {everyone(space.potluck) && <Badge state="shared with everyone" tone="off" />}
    </span>
  );
}

export function Standing({ space }: { space: Space }) {
  const { in_progress: reading, failed, total } = space.file_counts;
  if (total === 0) return <Badge state="empty" tone="off" />;
  return (
    <span class="kinds">
      {reading > 0 && <Badge state={`reading ${plural(reading, "file")}`} tone="busy" />}
      {reading === 0 && <Badge state="read" tone="good" />}
      {failed > 0 && <Badge state={`${count(failed)} failed`} tone="bad" />}
    </span>
  );
}
