package lakehouse;

import java.util.Arrays;
import java.util.List;
import org.apache.spark.sql.catalyst.plans.logical.Command;
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan;
import scala.collection.Iterator;
import scala.runtime.AbstractFunction1;
import scala.runtime.BoxedUnit;

/**
 * The rule of the SQL endpoint's sessions (sql_server.py): a statement may ask, or set what its own session goes by. A
 * second writer beside the pipeline could lose commits, and a name that one client drops is gone for all. It guards
 * against mistakes: who may log in may do in other ways what the server's owner may.
 */
public final class ReadOnly extends AbstractFunction1 {
  private static final List ALLOWED =
      Arrays.asList("Show", "Describe", "Explain", "Refresh", "ResetCommand", "SetCommand", "SetCatalog", "SetNamespaceCommand");

  /** The rule for a session: called by Spark for each. */
  @Override
  public Object apply(Object session) {
    return new Rule();
  }

  private static final class Rule extends AbstractFunction1 {
    @Override
    public Object apply(Object plan) {
      check((LogicalPlan) plan);
      return BoxedUnit.UNIT;
    }

    private static void check(LogicalPlan plan) {
      if (plan instanceof Command && !isAllowed(plan.getClass().getSimpleName())) {
        throw new UnsupportedOperationException("this endpoint only reads: " + plan.nodeName() + " is refused");
      }
      Iterator children = plan.children().iterator();
      while (children.hasNext()) {
        check((LogicalPlan) children.next());
      }
    }

    private static boolean isAllowed(String name) {
      for (int place = 0; place < ALLOWED.size(); place++) {
        if (name.startsWith((String) ALLOWED.get(place))) {
          return true;
        }
      }
      return false;
    }
  }
}
