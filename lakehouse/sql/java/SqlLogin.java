package lakehouse;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import javax.security.sasl.AuthenticationException;
import org.apache.hive.service.auth.PasswdAuthenticationProvider;
import org.slf4j.LoggerFactory;

/** The login of the SQL endpoint (sql_server.py): one user, whose password is known here by its digest alone. */
public final class SqlLogin implements PasswdAuthenticationProvider {
  private static volatile byte[] expected;

  /** Takes the SHA-256 of user, NUL, password; until then nobody is let in. */
  public static void expect(byte[] digest) {
    expected = digest;
  }

  /** Lets in who names both; takes the same time whatever is wrong. */
  @Override
  public void Authenticate(String user, String password) throws AuthenticationException {
    if (expected == null || !MessageDigest.isEqual(expected, digestOf(user + "\0" + password))) {
      LoggerFactory.getLogger("SqlLogin").warn("refused: wrong user or password");
      throw new AuthenticationException("wrong user or password");
    }
  }

  private static byte[] digestOf(String text) {
    try {
      return MessageDigest.getInstance("SHA-256").digest(text.getBytes(StandardCharsets.UTF_8));
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}
