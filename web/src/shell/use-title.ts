import { useEffect } from "react";

const PRODUCT = "Limpid";

/** Names the browser's tab while the component is shown. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · ${PRODUCT}`;
    return () => {
      document.title = PRODUCT;
    };
  }, [title]);
}
